import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { verifyTag } from '../../../../src/release/verify/verify-tag.ts'
import { LocalGitHub } from '../../../stand-ins/github/local-github.ts'
import { makeSigner, type SmallImage, sign } from '../../../support/deploy/image.ts'
import { releasesOf } from '../../../support/release/connected.ts'
import { type Seeded, seedBuild } from '../../../support/release/seeded.ts'
import { makeTestedBuild } from '../../../support/release/tested-build.ts'

const tag = 'haproxy-3.0.11-1'
const disk = `${tag}.qcow2`
let root: string
let build: SmallImage
let allowed: string
let github: LocalGitHub

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'seeder-verify-tag-'))
  build = await makeTestedBuild(join(root, 'build'), '1'.repeat(40), { evidence: true })
  const signer = await makeSigner(join(root, 'keys'))
  await sign(build.folder, signer)
  allowed = join(root, 'allowed')
  await writeFile(allowed, signer.allowed)
})
afterAll(() => rm(root, { recursive: true }))
beforeEach(async () => {
  github = await LocalGitHub.start({ immutable: true })
})
afterEach(() => github.stop())

/** What is not right of a release, by what it is about. */
async function findings(seeded: Seeded = {}, signers: string | undefined = allowed) {
  await seedBuild(github, build, seeded)
  const repository = { releases: releasesOf(github), repository: github.repository }
  const check = { allowedSigners: signers, bundleInto: undefined }
  const found = await verifyTag(repository, tag, check, new AbortController().signal)
  return Object.fromEntries(
    found.flatMap(({ what, result, found }) => (result === 'right' ? [] : [[what, `${result}: ${found}`]])),
  )
}

describe('a release', () => {
  it('as it was published has nothing wrong, and its disk is not downloaded', async () => {
    expect(await findings()).toEqual({
      'content of the disk': expect.stringContaining('not checked'),
      // test/system/release/publish/publish-bundle.test.ts has releases with a bundle.
      bundle: 'not checked: it was published without one',
    })
    const download = github.requests.filter(({ path }) => path.includes('/releases/assets/'))
    const disks = github.releases()[0]?.assets.filter(({ name }) => name === disk)
    expect(download.some(({ path }) => path.endsWith(`/${disks?.[0]?.id}`))).toBe(false)
  })

  it.each([
    'haproxy-3.0.11-1.spdx.json',
    'haproxy-3.0.11-1.provenance.json',
    'haproxy-3.0.11-1.bundle.json',
    'haproxy-3.0.11-1.manifest.json',
    'template.conf',
    disk,
  ])('with another %s than was signed names that file', async (name) => {
    const found = await findings({ assets: { [name]: 'something else' } })
    expect(found[name]).toMatch(/^wrong: /)
    expect(found['release.json']).toContain(name)
  })

  it('with a file taken away, or without release.json', async () => {
    const without = await findings({ assets: { 'haproxy-3.0.11-1.cdx.json': undefined } })
    expect(without['haproxy-3.0.11-1.cdx.json']).toBe('wrong: it is not there')
    expect(without['content of haproxy-3.0.11-1.cdx.json']).toMatch(/^wrong: /)
  })

  it('that has none of ours', async () => {
    const found = await findings({ assets: { 'release.json': undefined } })
    expect(found['release.json']).toBe('wrong: the release has none')
    expect(found[disk]).toBe('wrong: release.json does not name it')
  })
})
