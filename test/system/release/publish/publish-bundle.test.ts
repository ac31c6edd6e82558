import { existsSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest'
import { fetchRelease } from '../../../../src/release/download/fetch.ts'
import { publish } from '../../../../src/release/publish/publish.ts'
import {
  after,
  BundledReleases,
  before,
  first,
  second,
  unchecked,
} from '../../../support/release/bundled-releases.ts'
import { keptProgress, releasesOf } from '../../../support/release/connected.ts'

/** Bundles in releases, from the command line. */
let at: BundledReleases
beforeAll(async () => {
  at = await BundledReleases.make()
})
afterAll(() => at.remove())
beforeEach(() => at.begin())
afterEach(() => at.end())

const never = new AbortController().signal

it('a release has its bundle: that of the build, byte for byte, whatever becomes of other releases', async () => {
  await at.release(first, before)
  const folder = await at.release(second, after)
  const own = await at.bundle(folder)
  await at.delete(first)
  expect(await at.downloaded(second)).toBe(own)
  expect(await at.bundleFileOf(second)).toMatchObject({ name: `${second}.bundle.tar`, sha256: own })
  expect(await at.findings(second)).toEqual(unchecked)
  expect(await at.findings(second, true)).toEqual({ 'content of the disk': expect.anything() })
})

it('a bundle above the limit of an asset is in parts', async () => {
  const folder = await at.build(first, before)
  const request = { folder, signing: { kind: 'unsigned' }, bundleFrom: at.context().cache } as const
  await publish(
    releasesOf(at.github),
    { ...request, partSize: 1 << 20 },
    { progress: keptProgress(), signal: never },
  )
  const { parts = [] } = (await at.bundleFileOf(first)) ?? {}
  expect(parts.map(({ name }) => name)).toEqual(
    [1, 2, 3, 4].slice(0, parts.length).map((number) => `${first}.bundle.tar.part-0${number}`),
  )
  expect(parts.length).toBeGreaterThan(2)
  const own = await at.bundle(folder)
  expect(await at.downloaded(first, { allowUnsigned: true })).toBe(own)
})

it('a release without its bundle says so', async () => {
  await at.release(first, before, false)
  expect(await at.bundleFileOf(first)).toBeUndefined()
  expect(await at.findings(first)).toEqual({
    'content of the disk': expect.anything(),
    bundle: 'not checked: it was published without one',
  })
  await expect(at.downloaded(first, { out: at.never() })).rejects.toThrow(
    `${first} was published without its bundle`,
  )
  expect(existsSync(at.never())).toBe(false)
})

it('what is missing on this machine is named before anything is made on GitHub', async () => {
  const folder = await at.build(first, before)
  await rm(join(at.cache, 'seeder/store'), { recursive: true })
  await expect(at.publish(folder)).rejects.toMatchObject({
    message: expect.stringContaining('is not in the package store'),
    fix: expect.stringContaining('--no-bundle'),
  })
  expect(at.github.releases()).toEqual([])
  await at.publish(folder, false)
})

it('a download of the image leaves the bundle where it is', async () => {
  await at.release(first, before)
  const releases = releasesOf(at.github)
  const [release] = await releases.list()
  const folder = at.fresh('download')
  if (!release) return expect.fail('there is no release')
  const options = { progress: keptProgress(), signal: never }
  const names = await fetchRelease({ releases, release }, folder, options, async ({ files }) =>
    files.map(({ name }) => name),
  )
  expect(names).toContain(`${first}.qcow2`)
  const { id } = at.stored(first).assets.find(({ name }) => name.endsWith('.bundle.tar')) ?? {}
  expect(at.github.requests.filter(({ path }) => path.endsWith(`/assets/${id}`))).toEqual([])
})
