import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdir, mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { indexRecord, layOutMirror, releaseFile } from '../../../src/build/mirror.ts'
import type { LockedPackage } from '../../../src/image/lock.ts'
import { sha256File } from '../../../src/store/digest.ts'
import { Store } from '../../../src/store/store.ts'
import { buildDeb } from '../../support/archive/deb.ts'

const root = await mkdtemp(join(tmpdir(), 'seeder mirror '))
const store = new Store(join(root, 'store'), root)
afterAll(() => rm(root, { recursive: true }))

/** Builds a package, puts it into the store, and says what a lock would say of it. */
async function stored(name: string, version: string): Promise<LockedPackage> {
  const file = await buildDeb(root, { name, version, depends: 'libc6' })
  const { size } = await stat(file)
  const sha256 = await sha256File(file)
  expect(await store.add(createReadStream(file), { sha256, size })).toEqual({ stored: true })
  const path = `pool/main/${name[0]}/${name}_${version}_amd64.deb`
  return { name, version, architecture: 'amd64', archive: 'debian', path, size, sha256 }
}

test('the mirror has exactly the locked packages, under their digests', async () => {
  const packages = [await stored('one', '1:2-3'), await stored('two', '4')]
  const folder = join(root, 'mirror')
  await mkdir(folder)
  // Twice: the second time the control paragraphs come from what was kept.
  await layOutMirror(folder, 'trixie', packages, store)
  const again = join(root, 'again')
  await mkdir(again)
  await layOutMirror(again, 'trixie', packages, store)

  const index = await readFile(join(folder, 'dists/trixie/main/binary-amd64/Packages'), 'utf8')
  expect(await readFile(join(again, 'dists/trixie/main/binary-amd64/Packages'), 'utf8')).toBe(index)
  expect(index.match(/^Package: .*/gm)).toEqual(['Package: one', 'Package: two'])
  expect(index.match(/^Filename: .*/gm)).toEqual(packages.map((one) => `Filename: ${one.path}`))
  expect(index.match(/^SHA256: .*/gm)).toEqual(packages.map((one) => `SHA256: ${one.sha256}`))
  expect(index.match(/^Depends: .*/gm)).toEqual(['Depends: libc6', 'Depends: libc6'])
  const release = await readFile(join(folder, 'dists/trixie/Release'), 'utf8')
  expect(release).toContain(
    ` ${createHash('sha256').update(index).digest('hex')} ${Buffer.byteLength(index)} main/binary-amd64/Packages\n`,
  )
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  const files = entries.filter((entry) => entry.isFile()).map((entry) => entry.name)
  expect(files.sort()).toEqual(['Packages', 'Release', 'one_1:2-3_amd64.deb', 'two_4_amd64.deb'])
})

test('refuses a file with another package than in the lock', async () => {
  const locked = { ...(await stored('three', '3')), name: 'four' }
  const folder = join(root, 'wrong')
  await mkdir(folder)
  await expect(layOutMirror(folder, 'trixie', [locked], store)).rejects.toMatchObject({
    name: 'SeederError',
    message: 'The file locked as four 3 is three 3',
    fix: 'write the lock again',
  })
})

test('a record has the control paragraph and the path of the file', () => {
  const locked = { ...lockedOf('one', '1'), path: 'pool/one.deb', size: 7, sha256: 'a'.repeat(64) }
  expect(indexRecord(locked, 'Package: one\nVersion: 1\nDescription: x\n more\n\n')).toBe(
    `Package: one\nVersion: 1\nDescription: x\n more\nFilename: pool/one.deb\nSize: 7\nSHA256: ${'a'.repeat(64)}\n`,
  )
  expect(() => indexRecord(locked, 'Package: one\nVersion: 2\n')).toThrow('The file locked as one 1 is one 2')
})

test('a Release file does not depend on the time', () => {
  expect(releaseFile('trixie', 'x')).toBe(releaseFile('trixie', 'x'))
  expect(releaseFile('trixie', 'x')).not.toBe(releaseFile('trixie', 'y'))
})

function lockedOf(name: string, version: string): LockedPackage {
  return { name, version, architecture: 'amd64', archive: 'debian', path: 'x', size: 1, sha256: '' }
}
