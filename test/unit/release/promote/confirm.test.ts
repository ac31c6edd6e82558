import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { confirm, readSecondBuild } from '../../../../src/release/promote/confirm.ts'
import {
  confirmationsOf,
  confirmers,
  withConfirmation,
} from '../../../../src/release/promote/confirmation.ts'
import { promote } from '../../../../src/release/promote/promote.ts'
import { LocalGitHub } from '../../../stand-ins/github/local-github.ts'
import { makeSigner, type Signer, type SmallImage, sign } from '../../../support/deploy/image.ts'
import { keptProgress, releasesOf } from '../../../support/release/connected.ts'
import { makeProject } from '../../../support/release/project.ts'
import { seedBuild } from '../../../support/release/seeded.ts'
import { makeTestedBuild, tamper } from '../../../support/release/tested-build.ts'
import { published } from '../../../support/schemas.ts'
import { seeder } from '../../../support/seeder.ts'

const tag = 'haproxy-3.0.11-1'
const signal = new AbortController().signal
let root: string
let allowed: string
let publisher: Signer
let second: Signer
let unknown: Signer
let github: LocalGitHub
let build: SmallImage

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'seeder-confirm-'))
  publisher = await makeSigner(join(root, 'keys'), 'release@example.internal')
  second = await makeSigner(join(root, 'keys'), 'second@example.internal')
  unknown = await makeSigner(join(root, 'keys'), 'unknown@example.internal')
  allowed = join(root, 'allowed')
  await writeFile(allowed, publisher.allowed + second.allowed.replace('"seeder"', '"seeder-rebuild"'))
})
afterAll(() => rm(root, { recursive: true }))

beforeEach(async () => {
  github = await LocalGitHub.start({ immutable: true })
  build = await makeTestedBuild(join(root, 'build'), github.git.head(), { evidence: true })
  await sign(build.folder, publisher)
  await seedBuild(github, build)
})
afterEach(() => github.stop())

async function confirmed(signer: Signer, folder = build.folder, builder = 'urn:test:builder') {
  const key = await readFile(signer.key, 'utf8')
  const request = { tag, build: await readSecondBuild(folder, tag), key, builder }
  return confirm(releasesOf(github), request, { progress: keptProgress(), signal })
}

function promoted(builders: number) {
  const policy = { allowedSigners: allowed, allowUnsigned: false, builders }
  return promote(releasesOf(github), tag, policy, { progress: keptProgress(), signal })
}

const body = () => github.releases()[0]?.body ?? ''

describe('a second build of the same disk', () => {
  it('is said of a published release, immutable as it is, once', async () => {
    const before = body()
    expect(await published('printed/confirm', await confirmed(second))).toEqual({
      tag,
      builder: 'urn:test:builder',
      changed: true,
      rawSha256: build.manifest.raw.sha256,
      url: expect.stringContaining(tag),
    })
    expect(body().startsWith(before.trimEnd())).toBe(true)
    expect(await confirmed(second)).toMatchObject({ changed: false })
    expect(confirmationsOf({ body: body() })).toHaveLength(1)
    expect(await confirmers({ body: body() }, build.manifest, allowed)).toEqual([second.name])
  })

  it('lets a release be promoted where two builders are required', async () => {
    await expect(promoted(2)).rejects.toMatchObject({
      message: `${tag} cannot be promoted: platform.yaml requires 2 builders, and only ${publisher.name} signed it`,
      fix: `build it elsewhere, and confirm it there: seeder confirm ${tag} DIR`,
    })
    expect(github.releases()).toMatchObject([{ prerelease: true }])
    await confirmed(second)
    expect(await promoted(2)).toMatchObject({ changed: true, signer: publisher.name })
    await expect(promoted(3)).rejects.toThrow(`only ${publisher.name}, ${second.name} signed it`)
  })

  it('by the same key under another name is of the same builder', async () => {
    const [, , ...publicKey] = publisher.allowed.trim().split(' ')
    const line = `twin@example.internal namespaces="seeder-rebuild" ${publicKey.join(' ')}\n`
    await writeFile(allowed, `${await readFile(allowed, 'utf8')}${line}`)
    await confirmed(publisher)
    await expect(promoted(2)).rejects.toThrow(`only ${publisher.name} signed it`)
  })
})

describe('nothing is gained by', () => {
  it.each<[string, () => Promise<unknown>]>([
    ['a key that nobody knows', () => confirmed(unknown)],
    ['a key that may sign releases only', () => confirmed(publisher)],
    [
      'a signature of something else',
      async () => {
        await confirmed(second)
        const [found] = confirmationsOf({ body: body() })
        if (!found) throw new Error('there is no confirmation')
        const statement = { ...found.statement, builder: 'urn:other' }
        await releasesOf(github).update(github.releases()[0]?.id ?? 0, {
          body: withConfirmation('Notes', { ...found, statement }),
        })
      },
    ],
    [
      'what is no confirmation',
      () =>
        releasesOf(github).update(github.releases()[0]?.id ?? 0, {
          body: 'Notes\n<!-- seeder: confirmation bm90aGluZw -->\n',
        }),
    ],
  ])('%s', async (_what, act) => {
    await act()
    await expect(promoted(2)).rejects.toThrow(`only ${publisher.name} signed it`)
  })
})

describe('it is not said', () => {
  it('of another disk, and the message says what to do', async () => {
    const other = await makeTestedBuild(join(root, 'other'), null)
    await expect(confirmed(second, other.folder)).rejects.toMatchObject({
      message: `${tag} has the disk ${build.manifest.raw.sha256}; the second build has ${other.manifest.raw.sha256}`,
      fix: expect.stringContaining(`seeder diff ${tag}`),
    })
    expect(confirmationsOf({ body: body() })).toEqual([])
  })

  it('of another version, of a damaged build, or of a release that is not there', async () => {
    const next = await makeTestedBuild(join(root, 'next'), null, { version: '3.0.12-1' })
    await expect(confirmed(second, next.folder)).rejects.toThrow('is a build of haproxy-3.0.12-1, not of')
    const damaged = join(root, 'damaged')
    await cp(build.folder, damaged, { recursive: true })
    await tamper(join(damaged, 'template.conf'))
    await expect(confirmed(second, damaged)).rejects.toThrow('is damaged: template.conf')
    const key = await readFile(second.key, 'utf8')
    const missing = 'haproxy-3.0.12-1'
    const request = {
      tag: missing,
      build: await readSecondBuild(next.folder, missing),
      key,
      builder: 'urn:x',
    }
    await expect(confirm(releasesOf(github), request, { progress: keptProgress(), signal })).rejects.toThrow(
      'has no release haproxy-3.0.12-1',
    )
  })
})

it('is said of the version in the tag, whatever the manifest of the release says that it is of', async () => {
  const name = `${tag}.manifest.json`
  const another = { ...build.manifest, version: '3.0.99-1' }
  const other = await LocalGitHub.start({ immutable: true })
  await seedBuild(other, build, { files: { [name]: JSON.stringify(another) } })
  const key = await readFile(second.key, 'utf8')
  const request = { tag, build: await readSecondBuild(build.folder, tag), key, builder: 'urn:x' }
  await confirm(releasesOf(other), request, { progress: keptProgress(), signal })
  const text = other.releases()[0]?.body ?? ''
  await other.stop()
  expect(confirmationsOf({ body: text })).toMatchObject([{ statement: { version: '3.0.11-1' } }])
  expect(await confirmers({ body: text }, another, allowed)).toEqual([])
})

describe('on the command line', () => {
  it('confirms with the key in the environment, and promotes by the policy of platform.yaml', async () => {
    const project = await makeProject(join(root, 'project'))
    const platform = join(project, 'platform.yaml')
    await writeFile(platform, (await readFile(platform, 'utf8')).replace('builders: 1', 'builders: 2'))
    const env = {
      GITHUB_TOKEN: github.token(),
      GH_TOKEN: '',
      GITHUB_REPOSITORY: github.repository,
      GITHUB_API_URL: github.apiUrl,
      SEEDER_SIGNING_KEY: await readFile(second.key, 'utf8'),
    }
    const run = (...argv: string[]) => seeder(['--project', project, ...argv], { env })
    const promote = () => run('promote', tag, '--allowed-signers', allowed)
    expect(await promote()).toMatchObject({ code: 1, stderr: expect.stringContaining('requires 2 builders') })
    expect(await run('confirm', tag, build.folder)).toMatchObject({
      code: 0,
      stdout: expect.stringContaining(`${tag} confirmed`),
    })
    expect(await promote()).toMatchObject({ code: 0, stdout: expect.stringContaining(`${tag} promoted`) })
    const without = await seeder(['confirm', tag, build.folder], { env: { ...env, SEEDER_SIGNING_KEY: '' } })
    expect(without).toMatchObject({ code: 2, stderr: expect.stringContaining('no key to sign with') })
  })
})
