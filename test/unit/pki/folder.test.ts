import { chmod, chown, mkdir, mkdtemp, readdir, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { initialize } from '../../../src/pki/authority.ts'
import { defaultFolder, openFolder } from '../../../src/pki/folder.ts'
import { seeder } from '../../support/seeder.ts'

const uid = process.geteuid?.() ?? 0
let root: string
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'seeder-pki-'))
})
afterEach(() => rm(root, { recursive: true, force: true }))

describe('the folder of the PKI', () => {
  test.each([
    ['the one named', '/a', { SEEDER_PKI: '/b', XDG_DATA_HOME: '/c' }, '/a'],
    ['the one in the environment', undefined, { SEEDER_PKI: '/b', XDG_DATA_HOME: '/c' }, '/b'],
    ['the one in the user’s data', undefined, { SEEDER_PKI: '', XDG_DATA_HOME: '/c' }, '/c/seeder/pki'],
    [
      'no data folder that is relative',
      undefined,
      { XDG_DATA_HOME: 'c' },
      join(homedir(), '.local/share/seeder/pki'),
    ],
    ['the usual one', undefined, {}, join(homedir(), '.local/share/seeder/pki')],
    ['a relative one, from here', 'x', {}, join(process.cwd(), 'x')],
  ])('%s', (_, named, env, expected) => {
    expect(defaultFolder(named, env)).toBe(expected)
  })
})

describe('a checkout', () => {
  const refusal = (folder: string, checkout: string) =>
    expect.objectContaining({
      name: 'UsageError',
      message: `${folder} is in a git checkout, ${checkout}: keys must not be where they can be committed`,
    })

  test('a folder anywhere in one is refused, and not made', async () => {
    await execa('git', ['init', '--quiet', root])
    const folder = join(root, 'a/b')
    await expect(openFolder(folder, true, uid)).rejects.toEqual(refusal(folder, root))
    expect(await readdir(root)).toEqual(['.git'])
    await expect(openFolder(root, true, uid)).rejects.toEqual(refusal(root, root))
  })

  test('also a linked work tree, whose .git is a file', async () => {
    const main = join(root, 'main')
    await execa('git', ['init', '--quiet', main])
    const git = (...argv: string[]) =>
      execa('git', ['-C', main, '-c', 'user.name=a', '-c', 'user.email=a@b', ...argv])
    await git('commit', '--quiet', '--allow-empty', '-m', 'first')
    await git('worktree', 'add', '--quiet', join(root, 'linked'))
    const folder = join(root, 'linked/keys')
    await expect(openFolder(folder, true, uid)).rejects.toEqual(refusal(folder, join(root, 'linked')))
  })

  test('also behind a link', async () => {
    await execa('git', ['init', '--quiet', join(root, 'project')])
    await symlink(join(root, 'project'), join(root, 'keys'))
    await expect(openFolder(join(root, 'keys/pki'), true, uid)).rejects.toEqual(
      refusal(join(root, 'project/pki'), join(root, 'project')),
    )
  })

  test.runIf(uid === 0)('also one of another user, into which git does not look', async () => {
    await execa('git', ['init', '--quiet', root])
    await execa('chown', ['-R', '12345', root])
    expect((await execa('git', ['-C', root, 'rev-parse'], { reject: false })).stderr).toMatch(/dubious/)
    const folder = join(root, 'pki')
    await expect(openFolder(folder, true, uid)).rejects.toEqual(refusal(folder, root))
  })

  test('a folder that became a checkout later is refused, too', async () => {
    const folder = join(root, 'pki')
    await initialize({ folder, note: () => {} }, { now: new Date(), days: 10 })
    await execa('git', ['init', '--quiet', folder])
    await expect(openFolder(folder, false, uid)).rejects.toEqual(refusal(folder, folder))
  })
})

describe('no folder for keys is', () => {
  test('a folder with other files, which stays as it is', async () => {
    await writeFile(join(root, 'thesis.txt'), '')
    await chmod(root, 0o755)
    await expect(openFolder(root, true, uid)).rejects.toMatchObject({
      name: 'UsageError',
      message: `${root} holds other files: thesis.txt`,
    })
    expect((await stat(root)).mode & 0o777).toBe(0o755)
  })

  test('a file', async () => {
    const file = join(root, 'x')
    await writeFile(file, '')
    await expect(openFolder(file, true, uid)).rejects.toThrow(`${file} is not a folder`)
    await expect(openFolder(join(file, 'y'), true, uid)).rejects.toThrow(/ENOTDIR/)
  })

  test('no PKI, when a new one is not requested', async () => {
    const folder = join(root, 'pki')
    await expect(openFolder(folder, false, uid)).rejects.toMatchObject({
      message: `There are no certificate authorities in ${folder}`,
      fix: 'make them with: seeder pki init; or name their folder with --dir or SEEDER_PKI',
    })
    expect(await readdir(root)).toEqual([])
  })

  test('the folder of another user', async () => {
    const folder = join(root, 'pki')
    await mkdir(folder)
    await expect(openFolder(folder, true, uid + 1)).rejects.toMatchObject({
      message: `${folder} belongs to the user ${uid}, and this is ${uid + 1}`,
      fix: expect.stringContaining('run this as the user'),
    })
  })

  test.runIf(uid === 0)('somebody else’s, as a command', async () => {
    const folder = join(root, 'pki')
    await mkdir(folder)
    await chown(folder, 12345, 12345)
    const { code, stderr } = await seeder(['pki', 'init', '--dir', folder])
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: expect.stringContaining(`seeder: ${folder} belongs to the user 12345, and this is 0\n`),
    })
    expect(await readdir(folder)).toEqual([])
  })
})

test('a new folder is made for its owner alone, with those above it', async () => {
  const before = process.umask(0)
  try {
    await openFolder(join(root, 'a/b'), true, uid)
  } finally {
    process.umask(before)
  }
  expect((await stat(join(root, 'a/b'))).mode & 0o777).toBe(0o700)
})
