import { chmod, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { afterAll, beforeEach, describe, expect, it } from 'vitest'
import { unpackArtifacts } from '../../../src/build/artifacts.ts'
import { loadImage } from '../../../src/image/definition.ts'
import type { Lock } from '../../../src/image/lock.ts'
import { sha256File } from '../../../src/store/digest.ts'
import { Store } from '../../../src/store/store.ts'

const root = await mkdtemp(join(tmpdir(), 'seeder tarballs '))
const definition = await loadImage(join(import.meta.dirname, '../../..'), 'haproxy')
let scratch = ''
let store: Store
let count = 0

beforeEach(async () => {
  scratch = join(root, String(count++))
  await mkdir(scratch)
  store = new Store(join(root, 'store'), scratch)
})
afterAll(() => rm(root, { recursive: true }))

/** A stored tarball with a program, a text and a link, and what `files` of it would become. */
async function unpack(files: Record<string, string> | string, version = '1.0') {
  const tree = join(scratch, 'thing-1.0')
  await mkdir(tree)
  await writeFile(join(tree, 'thing'), '#!/bin/sh\n')
  await chmod(join(tree, 'thing'), 0o755)
  await writeFile(join(tree, 'thing.conf'), 'a = b\n')
  await symlink('/etc/passwd', join(tree, 'link'))
  const tarball = join(scratch, 'thing.tar.gz')
  await execa('tar', ['-czf', tarball, '-C', scratch, 'thing-1.0'])
  const [sha256, bytes] = [await sha256File(tarball), await readFile(tarball)]
  await store.add(
    (async function* () {
      yield bytes
    })(),
    { sha256, size: bytes.length },
  )
  const artifact = { name: 'thing', version: '1.0', urls: ['http://x/'], checksums: undefined, sha256, files }
  const lock = { artifacts: [{ name: 'thing', version, urls: ['http://x/'], size: bytes.length, sha256 }] }
  return unpackArtifacts({ ...definition, artifacts: [artifact] }, lock as unknown as Lock, store, scratch)
}

describe('the files of a tarball', () => {
  it('come with their execute bit, and nothing else is unpacked', async () => {
    const files = await unpack({
      'thing-1.0/thing': '/usr/bin/thing',
      'thing-1.0/thing.conf': '/usr/share/thing.conf',
    })
    expect(files.map(({ path, mode }) => [path, mode])).toEqual([
      ['/usr/bin/thing', 0o755],
      ['/usr/share/thing.conf', 0o644],
    ])
    expect(await readFile(files[0]?.source ?? '', 'utf8')).toBe('#!/bin/sh\n')
    await expect(readFile(join(scratch, 'artifacts/thing/thing-1.0/link'))).rejects.toThrow('ENOENT')
  })

  it('are the file itself when it is no tarball to unpack', async () => {
    const [file] = await unpack('/usr/lib/seeder/images/thing.tar')
    expect(file).toMatchObject({ path: '/usr/lib/seeder/images/thing.tar', mode: 0o644 })
    expect(await sha256File(file?.source ?? '')).toBe(file?.sha256)
  })

  it('are named when they are not in it', async () => {
    await expect(unpack({ 'thing-1.0/other': '/usr/bin/other' })).rejects.toThrow(
      /^Unpacking thing 1\.0 failed: tar: thing-1\.0\/other: Not found in archive/,
    )
  })

  it('are refused when they are a link, which could lead anywhere', async () => {
    await expect(unpack({ 'thing-1.0/link': '/usr/bin/thing' })).rejects.toThrow(
      'thing-1.0/link in thing 1.0 is not a plain file',
    )
  })

  it('are of the version that is locked', async () => {
    await expect(unpack({ 'thing-1.0/thing': '/usr/bin/thing' }, '0.9')).rejects.toMatchObject({
      message: 'The lock of haproxy does not have the artifact thing 1.0',
      fix: 'run: scripts/seeder lock haproxy',
    })
  })
})
