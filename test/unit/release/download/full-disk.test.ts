import { open, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { execa } from 'execa'
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest'
import { connect } from '../../../../src/github/client.ts'
import { missingDiskSpace } from '../../../../src/release/download/disk-space.ts'
import { fetchPart } from '../../../../src/release/download/part.ts'
import { LocalGitHub } from '../../../stand-ins/github/local-github.ts'
import { testFolder } from '../../../support/builds.ts'
import { makeSmallImage, type SmallImage } from '../../../support/deploy/image.ts'
import { seedImage } from '../../../support/release/seed.ts'
import { checkout } from '../../../support/seeder.ts'

const root = await testFolder('fetch full')
let image: SmallImage
let github: LocalGitHub

beforeAll(async () => {
  image = await makeSmallImage(join(root, 'image'))
  await writeFile(join(image.folder, 'test-report.json'), '{}\n')
})
afterAll(() => rm(root, { recursive: true, force: true }))

beforeEach(async () => {
  github = await LocalGitHub.start()
})
afterEach(() => github.stop())

const disks = () => github.requests.filter(({ on, path }) => on === 'download' && /qcow2/.test(path))

/** Runs a download on a file system of its own, mounted with `options`; what it says about its end. */
async function fetchOn(options: string): Promise<string> {
  const script = 'mount -t tmpfs -o "$1" tmpfs "$2"; shift; shift; exec "$@"'
  const fetch = join(checkout, 'test/support/release/dying-fetch.ts')
  const target = join(root, 'image', '..', 'mount')
  await execa('mkdir', ['-p', target])
  const command = [process.execPath, fetch, github.apiUrl, github.token(), join(target, 'cache/haproxy')]
  const { all } = await execa(
    'unshare',
    ['--user', '--map-root-user', '--mount', '--', 'sh', '-euc', script, '-', options, target, ...command],
    { all: true, reject: false, cwd: '/' },
  )
  return all
}

it('a full file system is an error before the disk is requested', async () => {
  await seedImage(github, image)
  expect(await fetchOn('size=18m')).toMatch(
    /\.haproxy\.partial needs 2[01] MB more for the download; 1[89] MB are free/,
  )
  expect(disks()).toEqual([])
})

it('a file system without free inodes has its own error', async () => {
  await seedImage(github, image)
  expect(await fetchOn('size=64m,nr_inodes=6')).toMatch(
    /could not work in .*: no space is left on the disk \(ENOSPC\)/,
  )
})

it('a disk that fills up in the middle ends the download at once', async () => {
  const contents = await seedImage(github, image)
  const { signal } = new AbortController()
  const { apiUrl, repository } = github
  const { releases } = connect({ apiUrl, repository, token: github.token(), signal })
  const [release] = await releases.list()
  const part = contents.files.find(({ name }) => name.endsWith('.qcow2'))?.parts[0]
  const asset = release?.assets.find(({ name }) => name === part?.name)
  if (!part || !asset) throw new Error('there is no disk')
  const file = await open('/dev/full', 'r+')
  try {
    const job = { part, asset, file, offset: 0, kept: 0 }
    const events = { signal, onPosition() {}, onDisk: async () => {}, note() {} }
    await expect(fetchPart(releases, job, events)).rejects.toMatchObject({ code: 'ENOSPC' })
  } finally {
    await file.close()
  }
  expect(disks()).toHaveLength(1)
})

it('what was downloaded already needs no space', () => {
  const mib = 1024 ** 2
  expect(missingDiskSpace([100 * mib, 10], [0, 0], 116 * mib + 10)).toBeUndefined()
  expect(missingDiskSpace([100 * mib, 10], [0, 0], 116 * mib)).toBe(
    'needs 122 MB more for the download; 122 MB are free',
  )
  expect(missingDiskSpace([100 * mib, 10], [100 * mib, 4096], 16 * mib)).toBeUndefined()
})
