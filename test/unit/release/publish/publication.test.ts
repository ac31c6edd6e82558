import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { demote, promote } from '../../../../src/release/promote/promote.ts'
import { publish } from '../../../../src/release/publish/publish.ts'
import type { Logged } from '../../../stand-ins/github/front.ts'
import { LocalGitHub } from '../../../stand-ins/github/local-github.ts'
import type { SmallImage } from '../../../support/deploy/image.ts'
import { keptProgress, releasesOf } from '../../../support/release/connected.ts'
import { seedBuild } from '../../../support/release/seeded.ts'
import { makeTestedBuild } from '../../../support/release/tested-build.ts'

const tag = 'haproxy-3.0.11-1'
const page = `https://github.com/operator/platform/releases/tag/${tag}`

let github: LocalGitHub
let folder: string
let build: SmallImage
let controller: AbortController

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'seeder-publication-'))
})

afterAll(() => rm(folder, { recursive: true }))

beforeEach(async () => {
  controller = new AbortController()
  github = await LocalGitHub.start({ immutable: true })
  build = await makeTestedBuild(folder, github.git.head())
})

afterEach(() => github.stop())

function run() {
  const { signal } = controller
  const request = { folder, signing: { kind: 'unsigned' } } as const
  return publish(releasesOf(github, { signal }), request, { progress: keptProgress(), signal })
}

/** Acts on the n-th request of this kind, before the local GitHub processes it. */
function atRequest(expected: RegExp, act: () => void, count = 1): void {
  // It adds each request to this list when it comes.
  const requests = github.requests as Logged[]
  let seen = 0
  requests.push = (...some) => {
    for (const { method, path } of some) if (expected.test(`${method} ${path}`) && ++seen === count) act()
    return Array.prototype.push.apply(requests, some)
  }
}

const stop = () => controller.abort('SIGTERM')

describe('seeder publish, when it is stopped', () => {
  it('while the draft is created, says that there may be one', async () => {
    atRequest(/^POST .*\/releases$/, stop)
    await expect(run()).rejects.toMatchObject({
      name: 'StoppedError',
      message: `stopped while a draft of ${tag} was being created: there may be one in operator/platform`,
    })
  })

  it('while it sends, names the draft', async () => {
    atRequest(/^POST .*\/assets$/, stop)
    await expect(run()).rejects.toMatchObject({
      name: 'StoppedError',
      message: expect.stringMatching(`stopped; the draft of ${tag} is not finished: https:.*untagged-`),
    })
  })

  it('while it publishes, does not claim that it is still a draft', async () => {
    atRequest(/^PATCH /, stop)
    await expect(run()).rejects.toMatchObject({
      name: 'StoppedError',
      message: expect.stringContaining(`stopped while ${tag} was being published: it may be published`),
    })
  })

  it('while it looks at what it published, says that it is published', async () => {
    atRequest(/^PATCH /, () => atRequest(/^GET /, stop))
    await expect(run()).rejects.toMatchObject({
      name: 'StoppedError',
      message: `stopped; ${tag} is published, and was not checked: ${page}`,
    })
    expect(github.releases()).toMatchObject([{ tag, draft: false }])
    controller = new AbortController()
    await expect(run()).resolves.toMatchObject({ published: false, candidate: true })
  })
})

describe('seeder publish', () => {
  const refused = { status: 403, body: { message: 'Resource not accessible by integration' } }

  it('goes on when only the answer to the publication was lost', async () => {
    github.faults.add(
      { on: 'api', match: /^PATCH/, do: 'lose-answer' },
      { on: 'api', match: /^PATCH/, at: 2, times: 9, do: refused },
    )
    await expect(run()).resolves.toMatchObject({ published: true, candidate: true, url: page })
  })

  it('says that it is a draft when the publication is refused', async () => {
    github.faults.add({ on: 'api', match: /^PATCH/, do: refused })
    await expect(run()).rejects.toThrow(/403.*; the draft of .* is not published: https:.*untagged-/)
    expect(github.releases()).toMatchObject([{ draft: true }])
  })

  it('says that somebody else published the draft, and no more than that', async () => {
    atRequest(/^POST .*\/assets$/, () => Object.assign(github.releases()[0] ?? {}, { draft: false }))
    await expect(run()).rejects.toMatchObject({
      message: `${tag} was published by somebody else meanwhile: ${page}`,
      fix: 'run publish again: it checks what is published',
    })
  })
})

describe.each([
  ['promoted', true],
  ['demoted', false],
] as const)('a release that is %s', (done, prerelease) => {
  beforeEach(() => seedBuild(github, build, { signed: false, prerelease }))

  function change() {
    const { signal } = controller
    const releases = releasesOf(github, { signal })
    const trust = { allowedSigners: undefined, allowUnsigned: true, builders: 1 }
    return prerelease
      ? promote(releases, tag, trust, { progress: keptProgress(), signal })
      : demote(releases, tag, { progress: keptProgress(), signal })
  }

  it('is named as that when the run is stopped after it', async () => {
    atRequest(/^PATCH /, () => atRequest(/^GET /, stop))
    await expect(change()).rejects.toMatchObject({
      name: 'StoppedError',
      message: `stopped; ${tag} is ${done}, and was not checked: ${page}`,
    })
    expect(github.releases()).toMatchObject([{ prerelease: !prerelease }])
  })

  it('may be that when the run is stopped in between', async () => {
    atRequest(/^PATCH /, stop)
    await expect(change()).rejects.toMatchObject({
      name: 'StoppedError',
      message: `stopped; ${tag} may be ${done} already: ${page}`,
    })
  })

  it('is that, though GitHub lists it as it was before', async () => {
    const listed = await fetch(`${github.apiUrl}/repos/operator/platform/releases`, {
      headers: { authorization: `token ${github.token()}` },
    })
    const match = /GET .*\/releases\?/
    github.faults.add({ on: 'api', match, at: 2, do: { status: 200, body: await listed.json() } })
    await expect(change()).resolves.toMatchObject({ changed: true, promoted: prerelease ? tag : null })
  })
})
