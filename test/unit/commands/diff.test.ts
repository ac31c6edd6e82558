import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { LocalGitHub } from '../../stand-ins/github/local-github.ts'
import { seedBuild } from '../../support/release/seeded.ts'
import { makeTestedBuild } from '../../support/release/tested-build.ts'
import { published } from '../../support/schemas.ts'
import { type Ended, seeder } from '../../support/seeder.ts'

let github: LocalGitHub
let folder: string

beforeAll(async () => {
  github = await LocalGitHub.start({ immutable: true })
  folder = await mkdtemp(join(tmpdir(), 'seeder-diff-'))
  const published = await makeTestedBuild(join(folder, 'published'), github.git.head(), { evidence: true })
  await seedBuild(github, published, { signed: false })
  await makeTestedBuild(join(folder, 'next'), null, { version: '3.0.12-1', evidence: true })
  await makeTestedBuild(join(folder, 'etcd'), null, { image: 'etcd', version: '3.7.2-1' })
})
afterAll(async () => {
  await github.stop()
  await rm(folder, { recursive: true })
})

function diff(...argv: string[]): Promise<Ended> {
  const env = {
    GITHUB_TOKEN: github.token(),
    GH_TOKEN: '',
    GITHUB_REPOSITORY: github.repository,
    GITHUB_API_URL: github.apiUrl,
  }
  return seeder(['diff', ...argv], { env })
}

describe('`diff`', () => {
  it('compares a release with a build, for people', async () => {
    for (const older of ['haproxy-3.0.11-1', 'haproxy:candidate', join(folder, 'published')]) {
      const { code, stdout } = await diff(older, join(folder, 'next'))
      expect(code).toBe(0)
      expect(stdout).toMatch(/^ +3\.0\.11-1 +3\.0\.12-1/)
      expect(stdout).toMatch(/^checks passed +2 +2/m)
    }
  })

  it('prints as JSON that a build is identical to a release', async () => {
    const { stdout } = await diff('haproxy:candidate', join(folder, 'published'), '--json')
    expect(await published('printed/diff', JSON.parse(stdout))).toMatchObject({
      before: '3.0.11-1',
      after: '3.0.11-1',
      identical: true,
      files: { added: [], removed: [], changed: [] },
      changelogs: [],
    })
    expect((await diff('haproxy:candidate', join(folder, 'published'))).stdout).toContain('bit for bit')
  })

  it('prints all differences as JSON', async () => {
    const { stdout } = await diff(join(folder, 'published'), join(folder, 'next'), '--json')
    expect(await published('printed/diff', JSON.parse(stdout))).toMatchObject({
      before: '3.0.11-1',
      after: '3.0.12-1',
      identical: false,
      checks: { broken: [] },
    })
  })

  it('writes Markdown', async () => {
    const { stdout } = await diff(join(folder, 'published'), join(folder, 'next'), '--markdown')
    expect(stdout).toContain('| before `3.0.11-1` | `3.0.12-1` |')
    expect(stdout).toContain('The files are the same.')
  })

  it('prints which known vulnerabilities are gone, unchanged and new', async () => {
    const feed = async (name: string, suite: string) => {
      const releases = { [suite]: { status: 'open', urgency: 'low' } }
      await writeFile(join(folder, name), JSON.stringify({ haproxy: { 'CVE-2026-1': { releases } } }))
      return join(folder, name)
    }
    const versions = ['haproxy-3.0.11-1', join(folder, 'next')]
    const given = [...versions, '--feed', await feed('feed.json', 'trixie')]
    const { stdout } = await diff(...given)
    expect(stdout).toMatch(/^known vulnerabilities of 3\.0\.11-1: 1; 0 gone, 1 unchanged, 0 new$/m)
    expect((await diff(...given, '--markdown')).stdout).toContain('### Known vulnerabilities\n\n')
    const json = await published('printed/diff', JSON.parse((await diff(...given, '--json')).stdout))
    expect(json.vulnerabilities).toMatchObject({ isScanned: true, changes: { gone: [], came: [] } })

    const silent = await diff(...versions, '--feed', await feed('sid.json', 'sid'))
    expect(silent).toMatchObject({ code: 1, stderr: expect.stringContaining('sid.json has no entry about') })
    expect((await diff(...versions)).stdout).toMatch(/^known vulnerabilities: not scanned: no feed$/m)
  })

  it.each([
    [
      'a name that is neither a folder nor a tag',
      ['nothing', 'haproxy-3.0.11-1'],
      2,
      'nothing is not the tag of an image’s release',
    ],
    [
      'a version that was never published',
      ['haproxy-9-1', 'haproxy-3.0.11-1'],
      1,
      'has no release haproxy-9-1',
    ],
    [
      'an image without a promoted version',
      ['haproxy:promoted', 'haproxy-3.0.11-1'],
      1,
      'no release of haproxy',
    ],
  ])('refuses %s', async (_what, argv, status, complaint) => {
    const { code, stderr } = await diff(...argv)
    expect(stderr).toContain(complaint)
    expect(code).toBe(status)
  })

  it('refuses two different images', async () => {
    const { code, stderr } = await diff('haproxy-3.0.11-1', join(folder, 'etcd'))
    expect(stderr).toContain('compare two versions of one image')
    expect(code).toBe(1)
  })
})
