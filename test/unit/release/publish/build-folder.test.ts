import { mkdtemp, readFile, rename, rm, symlink, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { requireVouched } from '../../../../src/release/publish/build-folder.ts'
import { readLocalRelease } from '../../../../src/release/publish/local.ts'
import { publish } from '../../../../src/release/publish/publish.ts'
import { LocalGitHub } from '../../../stand-ins/github/local-github.ts'
import { type SmallImage, sha256, writeSums } from '../../../support/deploy/image.ts'
import { keptProgress, releasesOf } from '../../../support/release/connected.ts'
import { makeTestedBuild, reportOf, writeReport } from '../../../support/release/tested-build.ts'

const tag = 'haproxy-3.0.11-1'
const manifestFile = `${tag}.manifest.json`

let github: LocalGitHub
let root: string
let build: SmallImage

beforeEach(async () => {
  github = await LocalGitHub.start()
  root = await mkdtemp(join(tmpdir(), 'seeder-build-folder-'))
  build = await makeTestedBuild(join(root, 'build'), github.git.head())
  await writeFile(join(root, 'secret'), '{"auth": "a secret of this machine"}')
})

afterEach(async () => {
  await github.stop()
  await rm(root, { recursive: true })
})

const at = (name: string) => join(build.folder, name)

async function expectRefused(complaint: RegExp): Promise<void> {
  const { signal } = new AbortController()
  const request = { folder: build.folder, signing: { kind: 'unsigned' } } as const
  await expect(publish(releasesOf(github), request, { progress: keptProgress(), signal })).rejects.toThrow(
    complaint,
  )
  expect(github.releases()).toEqual([])
}

/** SHA256SUMS with these files alone. */
async function list(...names: string[]): Promise<void> {
  const lines = names.map(async (name) => `${sha256(await readFile(at(name)))}  ${name}\n`)
  await writeFile(at('SHA256SUMS'), (await Promise.all(lines)).join(''))
}

describe('a build folder that somebody prepared', () => {
  it('with a link to a secret gets nothing published', async () => {
    await rm(at('template.conf'))
    await symlink(join(root, 'secret'), at('template.conf'))
    await list(manifestFile)
    await expectRefused(/template.conf is not a plain file/)
  })

  it.each([`${tag}.qcow2`, manifestFile, 'template.conf', 'test-report.json', 'SHA256SUMS'])(
    'with a link in the place of %s gets nothing published, even to what it should be',
    async (name) => {
      await rename(at(name), join(root, 'elsewhere'))
      await symlink(join(root, 'elsewhere'), at(name))
      await expectRefused(/is not a plain file/)
    },
  )

  it('with a file that SHA256SUMS does not list gets nothing published', async () => {
    await writeFile(at('template.conf'), await readFile(join(root, 'secret')))
    await list(manifestFile, `${tag}.qcow2`)
    await expectRefused(/SHA256SUMS does not list template.conf/)
  })

  it('with another disk than the manifest’s gets nothing published', async () => {
    await writeFile(at(`${tag}.qcow2`), 'something else')
    await writeSums(build.folder, build.manifest)
    await expectRefused(/qcow2 is not what the manifest says/)
  })

  it.each<[string, object, RegExp]>([
    [
      'a disk elsewhere',
      { qcow2: { file: '../secret', sha256: 'ab'.repeat(32), size: 1 } },
      /names the disk/,
    ],
    ['a version elsewhere', { version: '../../secret-1' }, /which is no version of an image/],
    ['an image elsewhere', { image: '../secret' }, /which is no version of an image/],
  ])('with a manifest that names %s gets nothing published', async (_, change, complaint) => {
    const manifest = { ...build.manifest, ...change }
    await writeFile(at(manifestFile), JSON.stringify(manifest))
    await list(manifestFile, `${tag}.qcow2`, 'template.conf')
    await writeReport(build.folder, reportOf(manifest))
    await expectRefused(complaint)
  })

  it('with a file that is not small gets nothing published', async () => {
    await truncate(at('template.conf'), 17 * 1024 ** 2)
    await writeSums(build.folder, build.manifest)
    await expectRefused(/template.conf has 17825792 bytes; at most/)
  })
})

describe('a build folder that changes while it is published', () => {
  const local = () => readLocalRelease(build.folder, build.manifest, { signed: false })

  it('is sent as it was read', async () => {
    const { assets } = await local()
    await writeFile(at('template.conf'), 'changed')
    const conf = assets.find(({ name }) => name === 'template.conf')
    const sent = Buffer.concat((await conf?.open().toArray()) ?? [])
    expect(sha256(sent)).toBe(conf?.sha256)
  })

  it('is refused with another SHA256SUMS than was signed', async () => {
    const signed = await readFile(at('SHA256SUMS'))
    requireVouched(await local(), build.manifest, signed)
    await writeFile(at('SHA256SUMS'), `${signed.toString().trimEnd().split('\n').toReversed().join('\n')}\n`)
    const changed = await local()
    expect(() => requireVouched(changed, build.manifest, signed)).toThrow(/SHA256SUMS was changed while/)
  })

  it('is refused with another manifest than was looked at', async () => {
    await writeFile(at(manifestFile), JSON.stringify({ ...build.manifest, description: 'other' }))
    await writeSums(build.folder, build.manifest)
    const changed = await local()
    expect(() => requireVouched(changed, build.manifest, undefined)).toThrow(
      /manifest.json was changed while/,
    )
  })

  it('is refused with a report that is red by now', async () => {
    await writeReport(build.folder, { ...reportOf(build.manifest), passed: false })
    const changed = await local()
    expect(() => requireVouched(changed, build.manifest, undefined)).toThrow(/did not pass its test/)
  })
})
