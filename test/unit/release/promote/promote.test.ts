import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { DEMOTED_MARKER } from '../../../../src/release/channel/channels.ts'
import { demote, promote } from '../../../../src/release/promote/promote.ts'
import { LocalGitHub } from '../../../stand-ins/github/local-github.ts'
import { makeSigner, type Signer, type SmallImage, sign, writeSums } from '../../../support/deploy/image.ts'
import { keptProgress, releasesOf } from '../../../support/release/connected.ts'
import { type Seeded, seedBuild } from '../../../support/release/seeded.ts'
import { makeTestedBuild, reportOf } from '../../../support/release/tested-build.ts'

const [first, second] = ['haproxy-3.0.11-1', 'haproxy-3.0.11-2'] as const
const signal = new AbortController().signal

let github: LocalGitHub
let folder: string
let signer: Signer
let unknown: Signer
let allowedSigners: string
let builds: Record<typeof first | typeof second, SmallImage>

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'seeder-promote-'))
  signer = await makeSigner(join(folder, 'keys'))
  unknown = await makeSigner(join(folder, 'keys'), 'unknown')
  allowedSigners = join(folder, 'allowed_signers')
  await writeFile(allowedSigners, signer.allowed)
})

afterAll(() => rm(folder, { recursive: true }))

beforeEach(async () => {
  github = await LocalGitHub.start({ immutable: true })
  const made = async (version: string) => {
    const build = await makeTestedBuild(join(folder, version), github.git.head(), { version, sizeMiB: 4 })
    await sign(build.folder, signer)
    return build
  }
  builds = { [first]: await made('3.0.11-1'), [second]: await made('3.0.11-2') }
})

afterEach(() => github.stop())

function promoted(
  tag: string,
  trust: { allowedSigners?: string | undefined; allowUnsigned?: boolean; builders?: number } = {},
  notes: string[] = [],
) {
  return promote(
    releasesOf(github),
    tag,
    { allowedSigners, allowUnsigned: false, builders: 1, ...trust },
    { progress: keptProgress(notes), signal },
  )
}

function demoted(tag: string) {
  return demote(releasesOf(github), tag, { progress: keptProgress(), signal })
}

function changes(): number {
  return github.requests.filter(({ method }) => method !== 'GET').length
}

describe.each([
  ['immutable', true],
  ['ordinary', false],
])('promotion of %s releases', (_, immutable) => {
  beforeEach(() => {
    github.immutable = immutable
  })

  it('makes the candidate the latest full release, once', async () => {
    await seedBuild(github, builds[first])
    await expect(promoted(first)).resolves.toMatchObject({
      tag: first,
      changed: true,
      promoted: first,
      signer: signer.name,
    })
    expect(github.releases()).toMatchObject([{ tag: first, prerelease: false, latest: expect.any(Number) }])
    const before = changes()
    await expect(promoted(first)).resolves.toMatchObject({ changed: false, promoted: first })
    expect(changes()).toBe(before)
  })

  it('is demoted, which reports the version that is promoted then, and can be promoted again', async () => {
    await seedBuild(github, builds[first], { prerelease: false })
    await seedBuild(github, builds[second])
    await expect(promoted(second)).resolves.toMatchObject({ promoted: second })

    await expect(demoted(second)).resolves.toMatchObject({ tag: second, changed: true, promoted: first })
    const [release] = github.releases()
    expect(release).toMatchObject({ tag: second, prerelease: true, immutable })
    expect(release?.body).toContain(DEMOTED_MARKER)
    const before = changes()
    await expect(demoted(second)).resolves.toMatchObject({ changed: false, promoted: first })
    expect(changes()).toBe(before)

    await expect(promoted(second)).resolves.toMatchObject({ changed: true, promoted: second })
    expect(github.releases()[0]?.body?.trim()).toBe('Notes')
  })
})

describe('promotion', () => {
  it('refuses an older version than the promoted one', async () => {
    await seedBuild(github, builds[first])
    await seedBuild(github, builds[second], { prerelease: false })
    await expect(promoted(first)).rejects.toMatchObject({
      message: `${first} is older than ${second}, which is promoted`,
      fix: expect.stringContaining(`seeder promote ${second} --demote`),
    })
  })

  it('changes nothing of one that a newer version has replaced', async () => {
    await seedBuild(github, builds[first], { prerelease: false })
    await seedBuild(github, builds[second], { prerelease: false })
    const notes: string[] = []
    await expect(promoted(first, {}, notes)).resolves.toMatchObject({ changed: false, promoted: second })
    expect(notes.join('\n')).toContain(`${second} is newer`)
  })

  it('refuses a draft, and names it', async () => {
    await seedBuild(github, builds[first], { draft: true })
    await expect(promoted(first)).rejects.toThrow(/is a draft, which is not finished: https:.*untagged-/)
  })

  it('lists the existing versions when one is missing', async () => {
    await seedBuild(github, builds[first])
    await expect(promoted(second)).rejects.toMatchObject({
      name: 'UsageError',
      message: `operator/platform has no release ${second}`,
      fix: `there is ${first}`,
    })
    await expect(promoted('etcd-3.6.1-1')).rejects.toMatchObject({ fix: 'publish etcd first' })
  })

  it('names the permission to change releases', async () => {
    await seedBuild(github, builds[first])
    const releases = releasesOf(github, { token: github.token({ contents: 'read' }) })
    const trust = { allowedSigners, allowUnsigned: false, builders: 1 }
    await expect(promote(releases, first, trust, { progress: keptProgress(), signal })).rejects.toMatchObject(
      {
        fix: expect.stringContaining('contents: write'),
      },
    )
    expect(github.releases()).toMatchObject([{ prerelease: true }])
  })
})

describe('a release that is full already, as by a click on its page', () => {
  it('is verified, too', async () => {
    const red = JSON.stringify({ ...reportOf(builds[first].manifest), passed: false })
    await seedBuild(github, builds[first], { prerelease: false, files: { 'test-report.json': red } })
    await expect(promoted(first)).rejects.toThrow(/did not pass its test/)
  })

  it('has to be signed by an allowed signer, who is named', async () => {
    await seedBuild(github, builds[second], { prerelease: false })
    await expect(promoted(second)).resolves.toMatchObject({ changed: false, signer: signer.name })
    await sign(builds[first].folder, unknown)
    await seedBuild(github, builds[first], { prerelease: false })
    await expect(promoted(first)).rejects.toThrow(/signed by nobody/)
    expect(changes()).toBe(0)
  })
})

describe('demotion', () => {
  it('leaves no version promoted when there was one only', async () => {
    await seedBuild(github, builds[first], { prerelease: false })
    await expect(demoted(first)).resolves.toMatchObject({ changed: true, promoted: null })
  })

  it('refuses what was never promoted', async () => {
    await seedBuild(github, builds[first])
    await expect(demoted(first)).rejects.toThrow(/is not promoted, so it cannot be demoted/)
  })
})

describe('the signature of a candidate', () => {
  it('has to be by an allowed signer', async () => {
    await sign(builds[first].folder, unknown)
    await seedBuild(github, builds[first])
    await expect(promoted(first)).rejects.toThrow(/signed by nobody/)
  })

  it('is required unless --allow-unsigned', async () => {
    await seedBuild(github, builds[first], { signed: false })
    await expect(promoted(first)).rejects.toMatchObject({
      message: `${first} is not signed`,
      fix: expect.stringContaining('raise the revision, and publish that with a key'),
    })
    await expect(promoted(first, { allowUnsigned: true })).resolves.toMatchObject({
      changed: true,
      signer: null,
    })
  })

  it('is verified when the signers are known, also when none is required', async () => {
    await sign(builds[first].folder, unknown)
    await seedBuild(github, builds[first])
    await expect(promoted(first, { allowUnsigned: true })).rejects.toThrow(/signed by nobody/)
  })
})

describe('a candidate that is not what was published', () => {
  const manifestName = `${first}.manifest.json`
  const red = () => JSON.stringify({ ...reportOf(builds[first].manifest), passed: false })
  const otherDisk = () => JSON.stringify({ ...reportOf(builds[first].manifest), raw: { sha256: 'ab' } })
  const otherManifest = () =>
    JSON.stringify({ ...builds[first].manifest, description: 'changed after it was signed' })

  it.each<[string, () => Seeded, RegExp]>([
    ['a changed image', () => ({ assets: { [`${first}.qcow2`]: 'other' } }), /qcow2: it has 5 bytes/],
    ['a changed report', () => ({ assets: { 'test-report.json': red() } }), /test-report.json: it/],
    ['a missing file', () => ({ assets: { 'template.conf': undefined } }), /template.conf: it is missing/],
    ['another file', () => ({ assets: { 'more.txt': 'more' } }), /more.txt: release.json does not name it/],
    ['no list of its files', () => ({ assets: { 'release.json': undefined } }), /it has no release.json/],
    ['a list that is none', () => ({ assets: { 'release.json': '{}' } }), /does not say what is in/],
    ['a red report', () => ({ files: { 'test-report.json': red() } }), /did not pass its test/],
    ['a report of another disk', () => ({ files: { 'test-report.json': otherDisk() } }), /another disk/],
    [
      'a manifest that was not signed',
      () => ({ files: { [manifestName]: otherManifest() } }),
      /manifest.json: its sha256 is/,
    ],
    [
      'a list of another version',
      () => ({ contents: (contents) => ({ ...contents, version: '3.0.11-7' }) }),
      /release.json: it is of haproxy-3.0.11-7/,
    ],
    [
      'a list of another disk',
      () => ({ contents: (contents) => ({ ...contents, raw: { sha256: 'ab'.repeat(32) } }) }),
      /release.json is about another disk/,
    ],
    [
      'a list with fewer files than are signed',
      () => ({
        assets: { 'template.conf': undefined },
        contents: (contents) => ({
          ...contents,
          files: contents.files.filter(({ name }) => name !== 'template.conf'),
        }),
      }),
      /release.json: it does not name template.conf/,
    ],
  ])('with %s is not promoted', async (_, seeded, complaint) => {
    await seedBuild(github, builds[first], seeded())
    await expect(promoted(first)).rejects.toThrow(complaint)
    expect(github.releases()).toMatchObject([{ prerelease: true }])
    expect(changes()).toBe(0)
  })

  it('with sums that were changed after they were signed is not promoted', async () => {
    const { folder: build, manifest } = builds[first]
    const description = 'changed after it was signed'
    await writeFile(join(build, manifestName), JSON.stringify({ ...manifest, description }))
    const signature = await readFile(join(build, 'SHA256SUMS.sig'))
    await writeSums(build, manifest)
    await writeFile(join(build, 'SHA256SUMS.sig'), signature)
    await seedBuild(github, builds[first])
    await expect(promoted(first)).rejects.toThrow(/signature of SHA256SUMS by .* is wrong/)
  })

  it('with a tag of another commit is not promoted', async () => {
    github.immutable = false
    await seedBuild(github, builds[first])
    github.git.moveRef(`tags/${first}`, github.seedCommit({ file: 'other' }))
    await expect(promoted(first)).rejects.toThrow(/the tag .* is of commit/)
  })

  it('that comes broken from GitHub is read again', async () => {
    await seedBuild(github, builds[first])
    github.faults.add(
      { on: 'download', match: /release.json/, do: { resetAfter: 20 } },
      { on: 'download', match: /manifest/, do: 'truncate' },
    )
    await expect(promoted(first)).resolves.toMatchObject({ changed: true })
  })

  it('that comes changed from GitHub is refused', async () => {
    await seedBuild(github, builds[first])
    github.faults.add({ on: 'download', match: /SHA256SUMS\.sig/, do: 'wrong-digest' })
    await expect(promoted(first)).rejects.toThrow(/came as something else than GitHub has/)
  })
})
