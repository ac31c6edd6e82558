import { copyFile, mkdir, mkdtemp, readdir, rename, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { fillStore, isDiskFull } from '../../../src/build/fetch.ts'
import type { LockedPackage } from '../../../src/image/lock.ts'
import type { Mirrors } from '../../../src/image/mirrors.ts'
import { SeederError } from '../../../src/report/error.ts'
import type { Progress } from '../../../src/report/progress.ts'
import { sha256File } from '../../../src/store/digest.ts'
import { Store } from '../../../src/store/store.ts'
import { type Archive, createArchive } from '../../support/archive/archive.ts'

let archive: Archive
let store: Store
let packages: LockedPackage[]
let notes: string[]
let count = 0
const root = await mkdtemp(join(tmpdir(), 'seeder fetch '))
const names = ['first', 'second', 'third']

beforeAll(async () => {
  archive = await createArchive()
  await archive.publish({
    name: 'stable',
    packages: names.map((name) => ({
      name,
      version: '1:2+b1',
      files: { [`usr/share/${name}`]: name.repeat(5000) },
    })),
  })
  packages = await Promise.all(
    names.map(async (name) => {
      const path = archive.path(name, '1:2+b1')
      const file = join(archive.folder, path)
      const sha256 = await sha256File(file)
      const size = (await stat(file)).size
      return { name, version: '1:2+b1', architecture: 'amd64', archive: 'debian', path, size, sha256 }
    }),
  )
})
afterAll(async () => {
  await archive.close()
  await rm(root, { recursive: true })
})
beforeEach(() => {
  store = new Store(join(root, String(count++)), root)
  archive.server.faults.clear()
  archive.server.requests.length = 0
  notes = []
})

const progress: Progress = {
  phase() {},
  note: (text) => notes.push(text),
  bytes: (label, done, total) => notes.push(`${label} ${done}/${total}`),
  done() {},
  stop() {},
  timings: {},
}

async function fill(
  mirrors: Mirrors = new Map([['debian', { mirror: archive.url }]]),
  stallMs = 400,
): Promise<void> {
  await fillStore(store, packages, { findMirrors: async () => mirrors, progress, stallMs })
}

async function storedFiles(): Promise<string[]> {
  const entries = await readdir(store.folder, { recursive: true, withFileTypes: true }).catch(() => [])
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => entry.name)
    .sort()
}

const second = () => archive.path('second', '1:2+b1')
const digests = () => packages.map((one) => one.sha256).sort()
const failure = async () => {
  const error: unknown = await fill().catch((caught: unknown) => caught)
  expect(error).toBeInstanceOf(SeederError)
  return error as SeederError
}

describe('the store', () => {
  it('gets every package once, and prints the size of the download', async () => {
    await fill()
    expect(await storedFiles()).toEqual(digests())
    const total = packages.reduce((sum, one) => sum + one.size, 0)
    expect(notes[0]).toMatch(/^3 files to download, \d+(\.\d)? k?B$/)
    expect(notes.at(-1)).toBe(`downloading ${total}/${total}`)
    expect(archive.server.requests.sort()).toEqual(packages.map((one) => one.path).sort())
  })

  it('sends no request when it has all', async () => {
    await fill()
    archive.server.requests.length = 0
    const findMirrors = () => Promise.reject(new Error('the mirrors were requested'))
    await fillStore(store, [...packages, ...packages], { findMirrors, progress })
    expect(archive.server.requests).toEqual([])
  })

  it('detects and reports a damaged file, and downloads only that file again', async () => {
    await fill()
    archive.server.requests.length = 0
    const [first] = packages
    await writeFile(store.path(first?.sha256 ?? ''), Buffer.alloc(first?.size ?? 0))
    await fill()
    expect(notes).toContain('first: the stored file is damaged and will be downloaded again')
    expect(archive.server.requests).toEqual([first?.path])
    expect(await store.verify(first?.sha256 ?? '')).toBe(true)
  })
})

describe('a package that cannot be downloaded as locked is an error with its name', () => {
  const fix = `write the lock again, or set SEEDER_SNAPSHOT_DEBIAN (a snapshot that still has it) or SEEDER_MIRROR_DEBIAN (another mirror)`
  const prefix = 'Package second 1:2+b1 cannot be downloaded as locked: '

  it('because it does not exist any more', async () => {
    archive.server.faults.set(second(), 'missing')
    expect(await failure()).toMatchObject({
      message: expect.stringMatching(
        /^Package second 1:2\+b1 cannot be downloaded as locked: \S+second\S+: HTTP 404$/,
      ),
      fix,
    })
    expect(archive.server.requests.filter((path) => path === second())).toHaveLength(1)
  })

  it('because it was replaced', async () => {
    archive.server.faults.set(second(), 'tampered')
    const error = await failure()
    expect(error.message).toContain(prefix)
    expect(error.message).toMatch(/: its sha256 is [0-9a-f]{64}, the lock says [0-9a-f]{64}$/)
    expect(await storedFiles()).not.toContain(packages[1]?.sha256)
  })

  it('because it is too long', async () => {
    archive.server.faults.set(second(), 'endless')
    expect((await failure()).message).toMatch(
      /: its sha256 is of something longer, the lock says [0-9a-f]{64}$/,
    )
  })

  it('because it ends too early, three times', async () => {
    archive.server.faults.set(second(), 'truncated')
    const size = packages[1]?.size ?? 0
    expect((await failure()).message).toMatch(
      new RegExp(`: it ended after ${Math.floor(size / 2)} of ${size} bytes$`),
    )
    expect(archive.server.requests.filter((path) => path === second())).toHaveLength(3)
  })

  it('because the mirror stops sending', async () => {
    archive.server.faults.set(second(), 'stalled')
    expect((await failure()).message).toMatch(/: no data for 0\.4 s$/)
    expect(await storedFiles()).toEqual(digests().filter((one) => one !== packages[1]?.sha256))
  })

  it('because the mirror does not exist', async () => {
    const closed = await createArchive()
    await closed.close()
    const gone = new Map([['debian', { mirror: closed.url }]])
    await expect(fill(gone)).rejects.toThrow(
      /^Package \w+ 1:2\+b1 cannot be downloaded as locked: .*ECONNREFUSED/,
    )
  })

  it('because the base has no such archive', async () => {
    await expect(fill(new Map())).rejects.toThrow(
      'first comes from the archive "debian", which the base does not have',
    )
  })

  it('and stops the other downloads', async () => {
    archive.server.faults.set(archive.path('first', '1:2+b1'), 'stalled')
    archive.server.faults.set(second(), 'missing')
    await expect(fill(undefined, 60_000)).rejects.toThrow(prefix)
    await expect.poll(() => readdir(root)).not.toContainEqual(expect.stringMatching(/\.partial$/))
  })
})

describe('a package', () => {
  it('is requested again after an error of the server', async () => {
    archive.server.faults.set(second(), 'failing')
    const filling = fill()
    await expect.poll(() => archive.server.requests.filter((path) => path === second())).toHaveLength(1)
    archive.server.faults.clear()
    await filling
    expect(await storedFiles()).toEqual(digests())
  })

  it('comes from the snapshot when the mirror has dropped it', async () => {
    const snapshot = await createArchive()
    try {
      const kept = join(archive.folder, second())
      await rename(kept, `${kept}.moved`)
      await mkdir(join(snapshot.folder, 'pool/main'), { recursive: true })
      await copyFile(`${kept}.moved`, join(snapshot.folder, second()))
      await fill(new Map([['debian', { mirror: archive.url, snapshot: snapshot.url }]]))
      expect(snapshot.server.requests).toEqual([second()])
      expect(await storedFiles()).toEqual(digests())
      await rename(`${kept}.moved`, kept)
    } finally {
      await snapshot.close()
    }
  })
})

it('distinguishes a full disk from other errors', () => {
  expect(isDiskFull(Object.assign(new Error('write'), { code: 'ENOSPC' }))).toBe(true)
  expect(isDiskFull(Object.assign(new Error('write'), { code: 'EDQUOT' }))).toBe(true)
  expect(isDiskFull(Object.assign(new Error('write'), { code: 'EACCES' }))).toBe(false)
  expect(isDiskFull('ENOSPC')).toBe(false)
})
