import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { connect } from '../../../../src/github/client.ts'
import { contentsSchema } from '../../../../src/release/format/contents.ts'
import { type PublishResult, publish, type Signing } from '../../../../src/release/publish/publish.ts'
import { answers } from '../../../stand-ins/github/faults.ts'
import { LocalGitHub } from '../../../stand-ins/github/local-github.ts'
import { makeSigner, type Signer, type SmallImage } from '../../../support/deploy/image.ts'
import { keptProgress, releasesOf } from '../../../support/release/connected.ts'
import { makeTestedBuild, reportOf, tamper, writeReport } from '../../../support/release/tested-build.ts'
import { published } from '../../../support/schemas.ts'

const tag = 'haproxy-3.0.11-1'
const qcow2 = `${tag}.qcow2`
const partSize = 1024 ** 2
const { signal } = new AbortController()

let github: LocalGitHub
let folder: string
let build: SmallImage
let signer: Signer
let signing: Signing
let notes: string[]

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'seeder-publish-'))
  signer = await makeSigner(join(folder, 'keys'))
  const allowedSigners = join(folder, 'allowed_signers')
  await writeFile(allowedSigners, signer.allowed)
  signing = { kind: 'key', key: (await readFile(signer.key, 'utf8')).trim(), allowedSigners }
})

afterAll(() => rm(folder, { recursive: true }))

beforeEach(async () => {
  notes = []
  github = await LocalGitHub.start({ immutable: true })
  await rm(join(folder, 'build'), { recursive: true, force: true })
  build = await makeTestedBuild(join(folder, 'build'), github.git.head())
})

afterEach(() => github.stop())

function run(given: { token?: string; commit?: string; signing?: Signing } = {}): Promise<PublishResult> {
  const { token = github.token(), ...request } = given
  const releases = releasesOf(github, { token, notes })
  return publish(
    releases,
    { folder: build.folder, signing, partSize, ...request },
    { progress: keptProgress(notes), signal },
  )
}

function uploads(): string[] {
  return github.requests
    .filter(({ on, status }) => on === 'upload' && status === 201)
    .map(({ query }) => new URLSearchParams(query).get('name') ?? '')
}

describe('seeder publish', () => {
  it('leaves a pre-release with every file, whose parts are the image again', async () => {
    const result = await run()
    expect(result).toMatchObject({
      tag,
      published: true,
      candidate: true,
      rawSha256: build.manifest.raw.sha256,
      url: `https://github.com/operator/platform/releases/tag/${tag}`,
    })
    const [release, ...others] = github.releases()
    expect(others).toEqual([])
    expect(release).toMatchObject({ tag, draft: false, prerelease: true, immutable: true, latest: false })
    expect(release?.title).toBe('haproxy 3.0.11-1')
    expect(release?.body).toContain(build.manifest.raw.sha256)
    expect(release?.body).toContain('2 passed (TCG)')
    expect(github.git.resolve(`tags/${tag}`)?.sha).toBe(github.git.head())

    const names = release?.assets.map(({ name }) => name).sort()
    expect(names).toEqual(
      [
        `${qcow2}.part-01`,
        `${qcow2}.part-02`,
        `${qcow2}.part-03`,
        'SHA256SUMS',
        'SHA256SUMS.sig',
        `${tag}.manifest.json`,
        'release.json',
        'template.conf',
        'test-report.json',
      ].sort(),
    )
    const stored = (name: string) => readFile(release?.assets.find((each) => each.name === name)?.file ?? '')
    const text = (await stored('release.json')).toString()
    const contents = contentsSchema.parse(await published('release', JSON.parse(text)))
    for (const file of contents.files) {
      const parts = await Promise.all(file.parts.map(({ name }) => stored(name)))
      expect(Buffer.concat(parts).equals(await readFile(join(build.folder, file.name))), file.name).toBe(true)
    }
    expect(result.uploadedBytes).toBe(result.assets.reduce((sum, { size }) => sum + size, 0))
  })

  it.each([
    ['lightweight', undefined],
    ['annotated', 'a tag of a person'],
  ])('takes a %s tag that is there of its commit', async (_, message) => {
    github.seedTag(tag, github.git.head(), message)
    await expect(run()).resolves.toMatchObject({ published: true })
  })

  it.each([
    ['lightweight', undefined],
    ['annotated', 'a tag of a person'],
  ])('refuses a %s tag of another commit', async (_, message) => {
    github.seedTag(tag, github.seedCommit({ file: 'other' }), message)
    await expect(run()).rejects.toThrow(/the tag haproxy-3.0.11-1 is of commit .* was built from/)
    expect(github.releases()).toEqual([])
  })

  it('says that the tag of a deleted immutable release is spent, and names the draft', async () => {
    await run()
    const [release] = github.releases()
    const { apiUrl, repository } = github
    const { octokit } = connect({ apiUrl, repository, token: github.token(), signal })
    const [owner = '', repo = ''] = repository.split('/')
    await octokit.repos.deleteRelease({ owner, repo, release_id: release?.id ?? 0 })
    github.git.refs.delete(`tags/${tag}`)
    const failure = await run().catch((error: unknown) => error)
    expect(failure).toMatchObject({
      message: expect.stringMatching(/used by an immutable release.*is not published: https:.*untagged-/),
      fix: expect.stringContaining('raise the revision'),
    })
  })
})

describe('the signature', () => {
  it('refuses a key that may not sign, before anything is sent', async () => {
    const other = await makeSigner(join(folder, 'keys'), 'unknown')
    const key = await readFile(other.key, 'utf8')
    const { allowedSigners } = signing as { allowedSigners: string }
    await expect(run({ signing: { kind: 'key', key, allowedSigners } })).rejects.toThrow(/signed by nobody/)
    expect(github.releases()).toEqual([])
  })

  it('takes an existing one, and omits it when it is not wanted', async () => {
    await run()
    const { allowedSigners } = signing as { allowedSigners: string }
    github.immutable = false
    build = await makeTestedBuild(join(folder, 'second'), github.git.head(), { version: '3.0.11-2' })
    await expect(run({ signing: { kind: 'signed', allowedSigners } })).rejects.toThrow(/is not signed/)
    const result = await run({ signing: { kind: 'unsigned' } })
    expect(result.assets.map(({ name }) => name)).not.toContain('SHA256SUMS.sig')
  })
})

describe('a build that is not fit', () => {
  it('is refused when a file of it is damaged', async () => {
    await tamper(join(build.folder, qcow2))
    await expect(run()).rejects.toThrow(`is damaged: ${qcow2}`)
  })

  it('is refused without a report', async () => {
    await rm(join(build.folder, 'test-report.json'))
    await expect(run()).rejects.toThrow(/was not tested/)
  })

  it.each<[string, (report: ReturnType<typeof reportOf>) => object, RegExp]>([
    ['that failed', (report) => ({ ...report, passed: false }), /did not pass/],
    [
      'with a failed check',
      (report) => ({ ...report, checks: report.checks.map((one) => ({ ...one, status: 'failed' })) }),
      /did not pass its test, ready, balances/,
    ],
    ['without a check', (report) => ({ ...report, checks: [] }), /checked nothing/],
    ['of another disk', (report) => ({ ...report, raw: { sha256: 'ab' } }), /about another disk/],
    ['of another version', (report) => ({ ...report, version: '3.0.10-1' }), /about haproxy 3.0.10-1/],
    ['that is none', () => ({}), /not the report of a test/],
  ])('is refused with a report %s', async (_, change, complaint) => {
    await writeReport(build.folder, change(reportOf(build.manifest)))
    await expect(run()).rejects.toThrow(complaint)
    expect(github.requests).toEqual([])
  })

  it('requires the commit when the build has none, and no other one', async () => {
    await expect(run({ commit: 'f'.repeat(40) })).rejects.toThrow(/is not the commit/)
    build = await makeTestedBuild(build.folder, null)
    await expect(run()).rejects.toThrow(/has no commit/)
    await expect(run({ commit: github.git.head() })).resolves.toMatchObject({ published: true })
  })
})

describe('a GitHub that misbehaves', () => {
  it.each([
    ['resets an upload', { on: 'upload', do: { resetAfter: 300_000 } }],
    ['resets an upload before it begins', { on: 'upload', do: 'reset' }],
    ['fails after an upload', { on: 'upload', do: answers.badGateway }],
    ['limits the rate', { on: 'upload', do: answers.tooMany(1) }],
    ['loses the answer to the draft', { on: 'api', match: /^POST/, do: 'lose-answer' }],
    ['fails to make the draft', { on: 'api', match: /^POST/, do: answers.badGateway }],
    ['loses the answer to the publication', { on: 'api', match: /^PATCH/, do: 'lose-answer' }],
    ['answers 502 to the list', { on: 'api', match: /\/releases\?/, do: answers.badGateway }],
    ['stores something else', { on: 'upload', match: /part-02/, do: 'wrong-digest' }],
    ['stores half of it', { on: 'upload', match: /part-01/, do: 'truncate' }],
  ] as const)('that %s gets the same release', async (_, fault) => {
    github.faults.add(fault)
    const result = await run()
    expect(result).toMatchObject({ published: true })
    const [release, ...others] = github.releases()
    expect(others).toEqual([])
    expect(release?.assets.map(({ name, sha256 }) => `${name} ${sha256}`).sort()).toEqual(
      result.assets.map(({ name, sha256 }) => `${name} ${sha256}`).sort(),
    )
  })

  it('gets nothing twice when only the response was lost', async () => {
    github.faults.add({ on: 'upload', match: /part-01/, do: 'lose-answer' })
    await run()
    const [first, ...more] = github.requests.filter(
      ({ on, query }) => on === 'upload' && query.includes('part-01'),
    )
    expect(first?.bytes).toBe(partSize)
    expect(more).toEqual([])
  })

  it('is waited for when it has no digest yet', async () => {
    github.faults.add({ on: 'upload', match: /part-01/, do: 'digest-late' })
    await run()
    expect(uploads().filter((name) => name.endsWith('part-01'))).toHaveLength(1)
  })

  it('that keeps storing other content gets nothing published', async () => {
    github.faults.add({ on: 'upload', match: /template.conf/, times: 9, do: 'wrong-digest' })
    await expect(run()).rejects.toThrow(
      /other content of template.conf after 2 uploads.*is not published: https:/,
    )
    expect(github.releases()).toMatchObject([{ draft: true }])
  })
})

describe('a token', () => {
  it('that may only read is answered with the permission to add', async () => {
    const failure = await run({ token: github.token({ contents: 'read' }) }).catch((error: unknown) => error)
    expect(failure).toMatchObject({
      message: expect.stringContaining('could not create a draft of the release'),
      fix: expect.stringContaining('permissions:\n        contents: write'),
    })
  })

  it('that expires leaves a draft, with which the next run continues', async () => {
    const token = github.token()
    github.expireToken(token, { after: 8 })
    await expect(run({ token })).rejects.toThrow(/401.*is not published: https:/)
    const done = uploads()
    expect(done.length).toBeGreaterThan(0)
    await expect(run()).resolves.toMatchObject({ published: true })
    expect(new Set(uploads()).size).toBe(uploads().length)
    expect(github.releases()).toHaveLength(1)
  })
})
