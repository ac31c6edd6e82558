import { chmod, mkdir, mkdtemp, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeEach, expect, test } from 'vitest'
import { readTrees, splitTree, treeKey, writeTree } from '../../../src/build/tree.ts'

const root = await mkdtemp(join(tmpdir(), 'seeder tree '))
let folder = ''
let count = 0
beforeEach(() => {
  folder = join(root, String(count++))
})
afterAll(() => rm(root, { recursive: true }))

async function put(path: string, text: string, mode = 0o644): Promise<void> {
  await mkdir(dirname(join(folder, path)), { recursive: true })
  await writeFile(join(folder, path), text)
  await chmod(join(folder, path), mode)
}

test('a later tree replaces files of an earlier one, sorted by path', async () => {
  await put('common/etc/b', 'common')
  await put('common/etc/a', 'common')
  await put('image/etc/b', 'image')
  await put('image/usr/lib/x/y', 'image')
  const files = await readTrees([join(folder, 'common'), join(folder, 'image')])
  expect(files.map((file) => [file.path, file.source.slice(folder.length)])).toEqual([
    ['/etc/a', '/common/etc/a'],
    ['/etc/b', '/image/etc/b'],
    ['/usr/lib/x/y', '/image/usr/lib/x/y'],
  ])
  const { usr, state } = splitTree(files)
  expect(usr.map((file) => file.path)).toEqual(['/usr/lib/x/y'])
  expect(state.map((file) => file.path)).toEqual(['/etc/a', '/etc/b'])
})

test('only the execute bit of a mode counts, so that a checkout’s umask does not matter', async () => {
  await put('wide/run', 'x', 0o775)
  await put('wide/read', 'x', 0o664)
  await put('narrow/run', 'x', 0o700)
  await put('narrow/read', 'x', 0o600)
  const wide = await readTrees([join(folder, 'wide')])
  const narrow = await readTrees([join(folder, 'narrow')])
  expect(wide.map((file) => file.mode)).toEqual([0o644, 0o755])
  expect(treeKey(wide)).toEqual(treeKey(narrow))
})

test('the key changes with path, mode and content, but not with the folder', async () => {
  await put('a/etc/x', 'text')
  await put('elsewhere/etc/x', 'text')
  const key = async (name: string) => JSON.stringify(treeKey(await readTrees([join(folder, name)])))
  const before = await key('a')
  expect(await key('elsewhere')).toBe(before)
  await put('a/etc/x', 'text', 0o755)
  const executable = await key('a')
  await put('a/etc/x', 'other')
  const other = await key('a')
  await put('a/etc/x', 'text')
  await put('a/etc/y', '')
  expect(new Set([before, executable, other, await key('a')]).size).toBe(4)
})

test('refuses any other file by its name', async () => {
  await put('a/etc/x', 'text')
  await symlink('x', join(folder, 'a/etc/link'))
  await expect(readTrees([join(folder, 'a')])).rejects.toMatchObject({
    name: 'SeederError',
    message: `${folder}/a/etc/link is neither a file nor a folder`,
    fix: expect.any(String),
  })
})

test('files are written with the same modes for any umask', async () => {
  await put('a/etc/deep/er/x', 'text')
  await put('a/etc/run', 'text', 0o755)
  const files = await readTrees([join(folder, 'a')])
  const modes = async (umask: number) => {
    const target = join(folder, `out ${umask}`)
    const before = process.umask(umask)
    try {
      await writeTree(files, target)
    } finally {
      process.umask(before)
    }
    expect(await readFile(join(target, 'etc/deep/er/x'), 'utf8')).toBe('text')
    const paths = ['.', 'etc', 'etc/deep', 'etc/deep/er', 'etc/deep/er/x', 'etc/run']
    return Promise.all(
      paths.map(async (path) => ((await stat(join(target, path))).mode & 0o7777).toString(8)),
    )
  }
  const expected = ['755', '755', '755', '755', '644', '755']
  expect(await modes(0o022)).toEqual(expected)
  expect(await modes(0o077)).toEqual(expected)
  expect(await modes(0o002)).toEqual(expected)
})
