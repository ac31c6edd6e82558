import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type PublishResult, publish, type Signing } from '../../../../src/release/publish/publish.ts'
import { LocalGitHub } from '../../../stand-ins/github/local-github.ts'
import { makeSigner, type Signer, type SmallImage, sign, writeSums } from '../../../support/deploy/image.ts'
import { keptProgress, releasesOf } from '../../../support/release/connected.ts'
import { type Seeded, seedBuild } from '../../../support/release/seeded.ts'
import { makeTestedBuild, reportOf, writeReport } from '../../../support/release/tested-build.ts'

const tag = 'haproxy-3.0.11-1'

let github: LocalGitHub
let folder: string
let build: SmallImage
let signer: Signer
let signing: Signing
let notes: string[]

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'seeder-already-published-'))
  signer = await makeSigner(join(folder, 'keys'))
  signing = { kind: 'key', key: await readFile(signer.key, 'utf8'), allowedSigners: undefined }
})

afterAll(() => rm(folder, { recursive: true }))

beforeEach(async () => {
  notes = []
  github = await LocalGitHub.start({ immutable: true })
  await rm(join(folder, 'build'), { recursive: true, force: true })
  build = await makeTestedBuild(join(folder, 'build'), github.git.head())
})

afterEach(() => github.stop())

function run(given: Signing = signing): Promise<PublishResult> {
  const { signal } = new AbortController()
  return publish(
    releasesOf(github),
    { folder: build.folder, signing: given },
    { progress: keptProgress(notes), signal },
  )
}

/** Builds and tests the same disk again: it takes another time. `change` is what else is other in the manifest. */
async function again(change: object = {}): Promise<void> {
  const manifest = {
    ...build.manifest,
    timings: { disk: 4321 },
    made: ['usr', 'initrd', 'rootfs', 'tools'],
    ...change,
  }
  await writeFile(join(build.folder, `${tag}.manifest.json`), JSON.stringify(manifest))
  await writeSums(build.folder, manifest)
  await writeReport(build.folder, {
    ...reportOf(manifest),
    started: '2026-11-29T07:00:00.000Z',
    duration: 99,
  })
}

/** A release of this build as somebody else has left it. */
async function left(seeded: Seeded): Promise<void> {
  await sign(build.folder, signer)
  await seedBuild(github, build, seeded)
}

describe('a version that is published', () => {
  it('is not published again when it is built and tested again', async () => {
    await run()
    await again()
    const before = github.requests.length
    await expect(run()).resolves.toMatchObject({ tag, published: false, candidate: true, uploadedBytes: 0 })
    expect(github.requests.slice(before).every(({ method }) => method === 'GET')).toBe(true)
    expect(notes.join('\n')).toContain(`${tag} is published already, with the same disk`)
  })

  it('is not either from a newer commit', async () => {
    await run()
    await again({ source: { commit: github.seedCommit({ 'README.md': 'words' }), dirty: false } })
    await expect(run()).resolves.toMatchObject({ tag, published: false })
  })

  it('is done when a newer version was published meanwhile', async () => {
    await run()
    const older = build
    build = await makeTestedBuild(join(folder, 'newer'), github.git.head(), { version: '3.0.12-1' })
    await expect(run()).resolves.toMatchObject({ published: true, candidate: true })
    build = older
    await again()
    await expect(run()).resolves.toMatchObject({ tag, published: false, candidate: false })
  })

  it('stays as it is when the build has another disk', async () => {
    await run()
    build = await makeTestedBuild(build.folder, github.git.head())
    await expect(run()).rejects.toMatchObject({
      message: `${tag} is published with another disk than that of this build`,
      fix: expect.stringContaining('raise the revision'),
    })
    expect(github.releases()).toHaveLength(1)
  })

  it.each<[string, Seeded, RegExp]>([
    ['without its disk', { assets: { [`${tag}.qcow2`]: undefined } }, /qcow2: it is missing/],
    ['with another template.conf', { assets: { 'template.conf': 'other' } }, /template.conf: it has 5/],
    ['without release.json', { assets: { 'release.json': undefined } }, /published without release.json/],
    ['without a signature', { signed: false }, /published without a signature/],
  ])('%s is not taken for done', async (_, seeded, complaint) => {
    await left(seeded)
    const failure = await run().catch((error: unknown) => error)
    expect(failure).toMatchObject({
      message: expect.stringMatching(complaint),
      fix: expect.stringMatching(/raise the revision in image.yaml, lock, build, test and publish that/),
    })
  })

  it('without a signature is enough when none is wanted', async () => {
    await left({ signed: false })
    await expect(run({ kind: 'unsigned' })).resolves.toMatchObject({ published: false })
  })

  it('whose tag was moved is not taken for done', async () => {
    github.immutable = false
    await left({})
    github.git.moveRef(`tags/${tag}`, github.seedCommit({ file: 'other' }))
    await expect(run()).rejects.toThrow(/the tag .* is of commit/)
  })
})

describe('another version with the same disk', () => {
  const next = 'haproxy-3.0.11-2'

  /** The same disk as the next revision. */
  async function raise(): Promise<void> {
    const { qcow2 } = build.manifest
    const manifest = {
      ...build.manifest,
      version: '3.0.11-2',
      qcow2: { ...qcow2, file: `${next}.qcow2` },
    }
    const disk = await readFile(join(build.folder, qcow2.file))
    await writeFile(join(build.folder, `${next}.qcow2`), disk)
    await writeFile(join(build.folder, `${next}.manifest.json`), JSON.stringify(manifest))
    await writeSums(build.folder, manifest)
    await writeReport(build.folder, reportOf(manifest))
  }

  it('is enough when it is the highest', async () => {
    await left({})
    await raise()
    await expect(run()).resolves.toMatchObject({ tag, published: false })
    expect(notes.join('\n')).toContain(`${tag} has the same disk: nothing to publish`)
  })

  it('is not when it has no signature: that is why the revision was raised', async () => {
    await left({ signed: false })
    await raise()
    await expect(run()).resolves.toMatchObject({ tag: next, published: true })
    expect(notes.join('\n')).toContain(`${tag} is published without a signature`)
  })
})
