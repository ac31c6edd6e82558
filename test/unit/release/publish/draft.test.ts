import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type LocalRelease, readLocalRelease } from '../../../../src/release/publish/local.ts'
import { OURS_MARKER } from '../../../../src/release/publish/notes.ts'
import { publish } from '../../../../src/release/publish/publish.ts'
import { LocalGitHub } from '../../../stand-ins/github/local-github.ts'
import type { SmallImage } from '../../../support/deploy/image.ts'
import { keptProgress, releasesOf } from '../../../support/release/connected.ts'
import { makeTestedBuild } from '../../../support/release/tested-build.ts'

const tag = 'haproxy-3.0.11-1'

let github: LocalGitHub
let folder: string
let build: SmallImage
let local: LocalRelease
let notes: string[]

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'seeder-draft-'))
})

afterAll(() => rm(folder, { recursive: true }))

beforeEach(async () => {
  notes = []
  github = await LocalGitHub.start({ immutable: true })
  build = await makeTestedBuild(folder, github.git.head())
  local = await readLocalRelease(folder, build.manifest, { signed: false })
})

afterEach(() => github.stop())

/** A draft that an earlier run left, with these files of the build. */
async function leave(names: readonly string[], more: Record<string, string> = {}, body = OURS_MARKER) {
  const assets: Record<string, string | Buffer> = { ...more }
  for (const asset of local.assets) {
    if (names.includes(asset.name)) assets[asset.name] = await buffer(asset.open())
  }
  return github.seedRelease({ tag, assets, body, draft: true, prerelease: true })
}

async function run(): Promise<void> {
  await publish(
    releasesOf(github),
    { folder, signing: { kind: 'unsigned' } },
    { progress: keptProgress(notes), signal: new AbortController().signal },
  )
}

function sent(): string[] {
  const uploads = github.requests.filter(({ on }) => on === 'upload')
  return uploads.map(({ query }) => new URLSearchParams(query).get('name') ?? '').sort()
}

const all = () => local.assets.map(({ name }) => name)
const disk = `${tag}.qcow2`

describe('a draft that an earlier run left', () => {
  it('gets what is missing, and nothing twice', async () => {
    await leave([disk, 'template.conf'])
    await run()
    expect(sent()).toEqual(
      all()
        .filter((name) => name !== disk && name !== 'template.conf')
        .sort(),
    )
    expect(github.releases()).toMatchObject([{ tag, draft: false, prerelease: true }])
  })

  it('is published as it is when it has everything', async () => {
    await leave(all())
    await run()
    expect(sent()).toEqual([])
    expect(github.releases()).toMatchObject([{ tag, draft: false, title: 'haproxy 3.0.11-1' }])
  })

  it('loses what is of another build, what broke off, and what does not belong there', async () => {
    const draft = await leave(
      all().filter((name) => name !== disk && name !== 'SHA256SUMS'),
      { [disk]: 'of another build', [`${disk}.part-01`]: 'in parts', SHA256SUMS: 'other' },
    )
    const report = draft.assets.find(({ name }) => name === 'test-report.json')
    Object.assign(report ?? {}, { state: 'starter', sha256: undefined })
    await run()
    expect(sent()).toEqual(['SHA256SUMS', disk, 'test-report.json'].sort())
    expect(
      github
        .releases()[0]
        ?.assets.map(({ name }) => name)
        .sort(),
    ).toEqual(all().sort())
  })

  it('gets the commit of this build', async () => {
    await leave(all())
    build = await makeTestedBuild(folder, github.seedCommit({ file: 'newer' }))
    await run()
    expect(github.git.resolve(`tags/${tag}`)?.sha).toBe(build.manifest.source.commit)
  })

  it('is left alone when a person made it', async () => {
    await leave([], { 'notes.txt': 'mine' }, 'My draft')
    await run()
    const [ours, theirs] = github.releases()
    expect(ours).toMatchObject({ draft: false })
    expect(theirs).toMatchObject({ draft: true, body: 'My draft', assets: [{ name: 'notes.txt' }] })
  })

  it('is the one with most files, when there are several; the others are named', async () => {
    await leave(['template.conf'])
    const most = await leave([disk, 'template.conf'])
    await leave([])
    await run()
    const published = github.releases().filter(({ draft }) => !draft)
    expect(published.map(({ id }) => id)).toEqual([most.id])
    const named = notes.filter((text) => /another draft of .* is left: delete it at https:/.test(text))
    expect(named).toHaveLength(2)
  })
})
