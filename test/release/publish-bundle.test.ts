import { existsSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Releases } from '../../src/github/release.ts'
import { publish } from '../../src/release/publish.ts'
import {
  AROUND,
  after,
  BundledReleases,
  before,
  first,
  haproxy,
  packages,
  second,
  sizeOf,
  third,
  unchecked,
} from '../support/release/bundled-releases.ts'
import { keptProgress, releasesOf } from '../support/release/connected.ts'
import { inputsOf, keepInputs } from '../support/release/inputs.ts'

/**
 * Bundles in releases, from the command line: what a release uploads of its bundle, and the bundle that is put together of
 * several releases.
 */
let at: BundledReleases
beforeAll(async () => {
  at = await BundledReleases.make()
})
afterAll(() => at.remove())
beforeEach(() => at.begin())
afterEach(() => at.end())

describe('the second version of an image', () => {
  it('brings only its new files, and its bundle is that of the build, byte for byte', async () => {
    await at.release(first, before)
    const whole = at.bytesOfPacks('upload')
    expect(whole).toBeGreaterThan(sizeOf(before))
    const since = at.github.requests.length
    const folder = await at.release(second, after)
    const sent = at.bytesOfPacks('upload', since)
    console.log(
      `the second release sent ${sent} bytes of its bundle, the first ${whole}: 1/${(whole / sent).toFixed(1)}`,
    )
    expect(sent).toBeLessThan(haproxy.length + AROUND)
    expect(await at.bundleOf(second)).toMatchObject({ others: [first], pack: { members: { length: 2 } } })

    const own = await at.bundle(folder)
    const asked = at.github.requests.length
    expect(await at.assembled(second)).toBe(own)
    const came = at.bytesOfPacks('download', asked)
    // Neither the older haproxy nor the older definition is asked for.
    expect(came).toBeLessThan(sizeOf(after) + AROUND)
    expect(await at.findings(second)).toEqual(unchecked)
    expect(await at.findings(second, true)).toEqual({ 'content of the disk': expect.anything() })
  })

  it('counts on another image’s files as well, and brings nothing when all is there', async () => {
    await at.release('etcd-3.7.2-1', inputsOf('etcd', packages))
    await at.release(first, before)
    expect(await at.bundleOf(first)).toMatchObject({
      others: ['etcd-3.7.2-1'],
      pack: { members: { length: 1 } },
    })
    const folder = await at.release(second, before)
    expect(await at.bundleOf(second)).toEqual({ others: ['etcd-3.7.2-1', first] })
    expect(at.stored(second).assets.filter(({ name }) => name.includes('.pack'))).toEqual([])
    expect(await at.assembled(second)).toBe(await at.bundle(await rekept(folder)))
  })

  it('does not count on a candidate, which may be deleted', async () => {
    await at.publish(await at.build(first, before))
    await at.release(second, after)
    expect(await at.bundleOf(second)).toMatchObject({ others: [] })
    await at.delete(first)
    expect(await at.findings(second)).toEqual(unchecked)
  })

  it('brings all when it is told to, or nothing', async () => {
    await at.release(first, before)
    await at.release(second, after, 'whole')
    expect(await at.bundleOf(second)).toMatchObject({ others: [] })
    await at.delete(first)
    expect(await at.findings(second)).toEqual(unchecked)
    await at.release(third, after, 'none')
    expect(await at.bundleOf(third)).toBeUndefined()
    expect(await at.findings(third)).toEqual({
      ...{ 'content of the disk': expect.anything() },
      'files of the bundle': 'not checked: it was published without them',
    })
    // They are somewhere else all the same.
    await at.assembled(third)
  })

  it('says what is missing on this machine before anything is made on GitHub', async () => {
    await at.release(first, before)
    const folder = await at.build(second, after)
    await rm(join(at.cache, 'seeder/store'), { recursive: true })
    await expect(at.publish(folder)).rejects.toMatchObject({
      message: expect.stringContaining('is not in the package store, and no release has it yet'),
      fix: expect.stringContaining('--bundle none'),
    })
    expect(at.github.releases()).toHaveLength(1)
    // Everything but the new files may be away.
    await keepInputs(join(at.cache, 'seeder'), { haproxy, 'image.yaml': Buffer.from('two') })
    await at.publish(folder)
  })
})

/** Puts a build's files back into the package store of now. */
async function rekept(folder: string): Promise<string> {
  await keepInputs(join(at.cache, 'seeder'), before)
  return folder
}

describe('a release that another one counts on', () => {
  it('and that is gone is named with the files, by verify and by bundle', async () => {
    await at.release(first, before)
    await at.release(second, after)
    await at.delete(first)
    const found = await at.findings(second)
    expect(found['files of the bundle']).toMatch(
      new RegExp(`^wrong: .*in no release; ${first}, which is to have files of it, has no pack any more$`),
    )
    expect(found['files of the bundle']).toMatch(/a tool 1\.0|libc6 1\.0|linux 1\.0/)
    await expect(at.assembled(second, { out: at.never() })).rejects.toThrow(
      new RegExp(`^${second} cannot be put together: .*${first}, which is to have files of it`),
    )
    expect(existsSync(at.never())).toBe(false)
  })

  it('and that is gone does no harm when a third one has the files', async () => {
    await at.release(first, before)
    const folder = await at.release(second, after)
    const own = await at.bundle(folder)
    await at.release(third, after, 'whole')
    await at.delete(first)
    expect(await at.findings(second)).toEqual(unchecked)
    expect(await at.assembled(second)).toBe(own)
  })

  it('and that goes while this one is uploaded is seen before it is published', async () => {
    await at.release(first, before)
    const folder = await at.build(second, after)
    const releases = releasesOf(at.github)
    let gone: Promise<void> | undefined
    const meanwhile: Releases = {
      ...releases,
      async upload(...given) {
        gone ??= at.delete(first)
        await gone
        return releases.upload(...given)
      },
    }
    const request = {
      folder,
      signing: { kind: 'unsigned' },
      bundle: { which: 'new', cache: at.context().cache },
    } as const
    await expect(publish(meanwhile, request, keptProgress(), new AbortController().signal)).rejects.toThrow(
      new RegExp(`${first}, which has files of this bundle, was deleted meanwhile.*not published`),
    )
    await at.publish(folder)
    expect(await at.bundleOf(second)).toMatchObject({ others: [] })
    expect(await at.findings(second)).toEqual(unchecked)
  })
})
