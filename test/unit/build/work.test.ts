import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { afterAll, expect, test } from 'vitest'
import { withWorkFolder } from '../../../src/build/work.ts'

const root = await mkdtemp(join(tmpdir(), 'seeder work '))
afterAll(() => rm(root, { recursive: true }))

test('a work folder is there while it is needed, however the work ends', async () => {
  const parent = join(root, 'a')
  const result = await withWorkFolder(parent, async (folder) => {
    await writeFile(join(folder, 'file'), '')
    expect(await readdir(parent)).toHaveLength(1)
    return 42
  })
  expect(result).toBe(42)
  expect(await readdir(parent)).toEqual([])
  await expect(withWorkFolder(parent, () => Promise.reject(new Error('no')))).rejects.toThrow('no')
  expect(await readdir(parent)).toEqual([])
})

test('what killed builds left is removed, also what belongs to subordinate ids; a build that runs is left alone', async () => {
  const parent = join(root, 'b')
  const abandoned = join(parent, 'run-999999999-1-abc')
  await mkdir(abandoned, { recursive: true })
  const [program = '', ...argv] = ['unshare', '--user', '--map-root-user', '--map-auto', '--']
  await execa(program, [
    ...argv,
    'sh',
    '-euc',
    'mkdir "$1/x" && touch "$1/x/y" && chown -R 100:100 "$1/x" && chmod 700 "$1/x"',
    '-',
    abandoned,
  ])
  // The id of a process that runs, but one that started at another time than the folder's name says.
  await mkdir(join(parent, `run-${process.pid}-1-def`))
  await withWorkFolder(parent, async () => {
    const names = await readdir(parent)
    expect(names).toEqual([expect.stringMatching(new RegExp(`^run-${process.pid}-\\d{2,}-\\w+$`))])
    await withWorkFolder(parent, async () => expect(await readdir(parent)).toHaveLength(2))
    expect(await readdir(parent)).toEqual(names)
  })
})
