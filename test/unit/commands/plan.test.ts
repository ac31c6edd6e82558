import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { published } from '../../support/schemas.ts'
import { checkout, seeder } from '../../support/seeder.ts'

/** `seeder plan` in a git repository where the project is a folder. */
const root = await mkdtemp(join(tmpdir(), 'seeder plan '))
const project = join(root, 'platform')
const git = (...argv: string[]) =>
  execa('git', ['-C', root, '-c', 'user.name=t', '-c', 'user.email=t@localhost', ...argv])

beforeAll(async () => {
  await mkdir(project)
  await cp(join(checkout, 'platform.yaml'), join(project, 'platform.yaml'))
  await cp(join(checkout, 'images'), join(project, 'images'), { recursive: true })
  await git('init', '--quiet', '--initial-branch=main')
  await git('add', '.')
  await git('commit', '--quiet', '--message=Start')
  await git('switch', '--quiet', '--create', 'change')
})
afterAll(() => rm(root, { recursive: true }))

async function plan(): Promise<unknown> {
  const { code, stdout, stderr } = await seeder(['-C', project, 'plan', '--since', 'main', '--json'])
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  return published('printed/plan', JSON.parse(stdout))
}

test('finds nothing, then an untracked file, then a commit', async () => {
  expect(await plan()).toEqual({ include: [] })
  const file = join(project, 'images/haproxy/tree/etc/motd')
  await writeFile(file, 'hello\n')
  expect(await plan()).toEqual({ include: [{ image: 'haproxy' }] })
  await git('add', '.')
  await git('commit', '--quiet', '--message=Greet')
  expect(await plan()).toEqual({ include: [{ image: 'haproxy' }] })
  await git('reset', '--quiet', '--hard', 'main')
})

test('ignores a lock with another format only, and finds a changed package', async () => {
  const file = join(project, 'images/haproxy/image.lock.json')
  const text = await readFile(file, 'utf8')
  await writeFile(file, JSON.stringify(JSON.parse(text), null, 4))
  expect(await plan()).toEqual({ include: [] })
  await writeFile(file, text.replace('"epoch": 1', '"epoch": 2'))
  expect(await plan()).toEqual({ include: [{ image: 'haproxy' }] })
  await writeFile(file, text)
})

test('names an image without a lock, with the command that writes it', async () => {
  await writeFile(join(project, 'images/etcd/tree/etc/motd'), 'hello\n')
  const { stdout } = await seeder(['-C', project, 'plan', '--since', 'main'])
  expect(stdout).toMatch(/^etcd +has no lock +run: scripts\/seeder lock etcd$/m)
  expect(await plan()).toEqual({ include: [] })
})

test('refuses an unknown branch', async () => {
  const { code, stderr } = await seeder(['-C', project, 'plan', '--since', 'nowhere'])
  expect(code).toBe(2)
  expect(stderr).toContain('git finds no common commit with nowhere')
})
