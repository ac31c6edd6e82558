import { copyFile, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { LocalGitHub } from '../../stand-ins/github/local-github.ts'
import { makeSigner, type Signer, sign } from '../../support/deploy/image.ts'
import { makeProject } from '../../support/release/project.ts'
import { seedBuild } from '../../support/release/seeded.ts'
import { makeTestedBuild } from '../../support/release/tested-build.ts'
import { published } from '../../support/schemas.ts'
import { type Ended, seeder } from '../../support/seeder.ts'

const tag = 'haproxy-3.0.11-1'

let github: LocalGitHub
let folder: string
let build: string
let signer: Signer
let project: string
let env: Record<string, string>

beforeEach(async () => {
  github = await LocalGitHub.start({ immutable: true })
  folder = await mkdtemp(join(tmpdir(), 'seeder-publish-command-'))
  build = join(folder, 'build')
  await makeTestedBuild(build, github.git.head())
  project = await makeProject(join(folder, 'project'))
  signer = await makeSigner(join(folder, 'keys'))
  await writeFile(join(folder, 'allowed'), signer.allowed)
  env = {
    GITHUB_TOKEN: github.token(),
    GH_TOKEN: '',
    SEEDER_SIGNING_KEY: '',
    GITHUB_REPOSITORY: github.repository,
    GITHUB_API_URL: github.apiUrl,
  }
})

afterEach(async () => {
  await github.stop()
  await rm(folder, { recursive: true })
})

function run(argv: readonly string[], more: Record<string, string> = {}): Promise<Ended> {
  return seeder(['--project', project, ...argv], { env: { ...env, ...more } })
}

describe('the command line', () => {
  it('publishes, promotes and demotes, with output as text and as JSON', async () => {
    const sent = await run(['publish', build, '--key', signer.key])
    expect(sent.stdout).toContain(`${tag} published, the candidate`)
    const again = await run(['publish', build, '--key', signer.key, '--json'])
    expect(await published('printed/publish', JSON.parse(again.stdout))).toMatchObject({
      tag,
      published: false,
    })
    await copyFile(join(folder, 'allowed'), join(project, 'allowed_signers'))
    const promoted = await run(['promote', tag, '--json'])
    expect(await published('printed/promote', JSON.parse(promoted.stdout))).toEqual({
      tag,
      changed: true,
      promoted: tag,
      signer: signer.name,
      url: `https://github.com/operator/platform/releases/tag/${tag}`,
    })
    const demoted = await run(['promote', tag, '--demote'])
    expect(demoted.stdout).toContain(`${tag} demoted`)
    expect(demoted.stdout).toContain('promoted no version of this image')
    expect(github.releases()).toMatchObject([{ tag, prerelease: true }])
  })

  it.each([
    ['no key', [], /there is no key to sign/],
    ['a key with --unsigned', ['--key', 'k', '--unsigned'], /contradict each other/],
    ['a missing key file', ['--key', '/none'], /\/none cannot be read/],
    ['an abbreviated commit', ['--commit', 'abc123'], /whole name/],
    ['a repository without an owner', ['--repository', 'platform'], /does not name a repository/],
  ])('refuses %s before any request to GitHub', async (_, flags, complaint) => {
    const { code, stderr } = await run(['publish', build, ...flags])
    expect(stderr).toMatch(complaint)
    expect(code).toBe(2)
    expect(github.requests).toEqual([])
  })

  it('does not promote when the project has no allowed signers', async () => {
    const { manifest } = await makeTestedBuild(build, github.git.head())
    await sign(build, signer)
    await seedBuild(github, { folder: build, manifest })
    const { code, stderr } = await run(['promote', tag])
    expect(stderr).toContain('nobody may sign images')
    expect(code).toBe(2)
    expect((await run(['promote', tag, '--allowed-signers', join(folder, 'allowed')])).code).toBe(0)
  })

  it('shows a missing permission with the lines to add', async () => {
    const readOnly = { GITHUB_TOKEN: github.token({ contents: 'read' }) }
    const { code, stderr } = await run(['publish', build, '--unsigned'], readOnly)
    expect(code).toBe(1)
    expect(stderr).toContain('\n      permissions:\n        contents: write\n')
  })
})
