import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { execa } from 'execa'
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import type { Lock } from '../../../src/image/lock.ts'
import { type Archive, createArchive } from '../../support/archive/archive.ts'
import { createKey } from '../../support/archive/key.ts'
import { writeProject } from '../../support/archive/project.ts'
import { published } from '../../support/schemas.ts'
import { checkout, type Ended, seeder } from '../../support/seeder.ts'

/** `seeder lock` against an archive of this test's own: real apt, real signatures, loopback only. */
let archive: Archive
const project = await mkdtemp(join(tmpdir(), 'seeder project '))
const cache = join(project, 'cache', 'seeder')
const lockFile = join(project, 'images/tiny/image.lock.json')

const base = { name: 'base', version: '1', essential: true }
const apt = { name: 'apt', version: '2' }
const kernel = { name: 'kernel', version: '6.12' }
const balancer = { name: 'balancer', version: '2:3.0.11-1', depends: 'liblua (>= 5)' }
const lua = { name: 'liblua', version: '5.4' }
const tool = { name: 'disk-tool', version: '9' }
const stable = {
  name: 'stable',
  packages: [base, apt, kernel, balancer, lua, tool],
  date: new Date('2026-01-02'),
}
const security = { name: 'stable-security', packages: [], date: new Date('2026-02-03T04:05:06Z') }

beforeAll(async () => {
  archive = await createArchive()
})
afterAll(async () => {
  await archive.close()
  await rm(project, { recursive: true })
})
beforeEach(async () => {
  archive.server.faults.clear()
  await archive.publish(stable)
  await archive.publish(security)
  await writeProject(project, definition())
  await rm(lockFile, { force: true })
})

function definition(packages: string[] = ['balancer']) {
  const { keyring } = archive.key
  return { keyring, packages, tools: ['disk-tool'], kernel: 'kernel', version: 'balancer' }
}

const mirrors = () => ({
  XDG_CACHE_HOME: dirname(cache),
  SEEDER_MIRROR_DEBIAN: archive.url,
  SEEDER_MIRROR_DEBIAN_SECURITY: archive.url,
})

/** Verbose, so that a failure that was not expected shows all that apt said. */
async function lock(env: Record<string, string> = {}): Promise<Ended> {
  return seeder(['--verbose', '-C', project, 'lock', 'tiny'], {
    env: { ...mirrors(), ...env },
  })
}

async function readLockFile(): Promise<Lock> {
  return JSON.parse(await readFile(lockFile, 'utf8'))
}

/** The error's two lines, and that nothing was left behind: no lock, no scratch folder. */
async function refusal(ended: Ended): Promise<{ error: string; fix: string }> {
  expect(ended).toMatchObject({ code: 1, stdout: '' })
  const lines = ended.stderr.split('\n')
  const at = lines.findIndex((line) => line.startsWith('seeder: '))
  expect(lines.slice(at, at + 2)).toEqual([expect.any(String), expect.stringMatching(/^ {2}→ /)])
  expect(await readdir(join(project, 'images/tiny'))).toEqual(['image.yaml'])
  expect(await readdir(cache)).toEqual([])
  return { error: lines[at]?.slice('seeder: '.length) ?? '', fix: lines[at + 1]?.slice(4) ?? '' }
}

describe('lock', () => {
  it('names exact files, with what is essential and what is depended on', async () => {
    const ended = await lock()
    expect(ended).toMatchObject({ code: 0, stderr: expect.stringMatching(/^lock \d+\.\d s$/) })
    expect(ended.stdout).toMatch(/^tiny 3\.0\.11-1 on small: 4 packages \(\d+(\.\d)? k?B\), 3 of tools\n/)
    const written = await readLockFile()
    expect(written).toMatchObject({ image: 'tiny', base: 'small', version: '3.0.11-1' })
    expect(written.packages.map((one) => `${one.name} ${one.version}`)).toEqual([
      // Not apt: it counts itself as essential, but nobody installs anything in an image.
      'balancer 2:3.0.11-1',
      'base 1',
      'kernel 6.12',
      'liblua 5.4',
    ])
    expect(written.tools.map((one) => one.name)).toEqual(['apt', 'base', 'disk-tool'])
    const served = await readFile(join(archive.folder, archive.path('liblua', '5.4')))
    expect(written.packages.at(-1)).toMatchObject({
      path: archive.path('liblua', '5.4'),
      size: served.length,
      archive: expect.stringMatching(/^debian/),
    })
    expect(await readdir(cache)).toEqual([])
  })

  it('has the date of the newest index, so the same archive gives the same lock', async () => {
    const { stdout } = await seeder(['-C', project, 'lock', 'tiny', '--json'], { env: mirrors() })
    await published('printed/lock', JSON.parse(stdout))
    const first = await readFile(lockFile, 'utf8')
    expect(JSON.parse(first).epoch).toBe(Date.parse('2026-02-03T04:05:06Z') / 1000)
    await rm(lockFile)
    await lock()
    expect(await readFile(lockFile, 'utf8')).toBe(first)
  })

  it('takes a newer version from the security pocket and says what changed', async () => {
    await lock()
    await archive.publish({ ...security, packages: [{ ...lua, version: '5.4.1' }] })
    const ended = await lock()
    expect(ended.stdout.split('\n')[0]).toBe('  ~ liblua 5.4 → 5.4.1')
    expect((await readLockFile()).packages.at(-1)).toMatchObject({ version: '5.4.1' })
  })
})

describe('an archive that cannot be trusted or read', () => {
  it('is signed by another key', async () => {
    const stranger = await createKey('stranger')
    onTestFinished(() => stranger.discard())
    await archive.publish(security, stranger)
    const { error, fix } = await refusal(await lock())
    expect(error).toMatch(/^Reading the test archive's indexes failed: .*stable-security.* not signed/)
    expect(fix).toContain(`not signed by a key of ${archive.key.keyring}`)
  })

  it('is signed by a key that has expired', async () => {
    const old = await createKey('old', { expired: true })
    onTestFinished(() => old.discard())
    await archive.publish(stable, old)
    await archive.publish(security, old)
    await writeProject(project, { ...definition(), keyring: old.keyring })
    const { fix } = await refusal(await lock())
    expect(fix).toContain(`not signed by a key of ${old.keyring}`)
  })

  it('is not signed at all', async () => {
    await archive.publish(stable, null)
    const { error } = await refusal(await lock())
    expect(error).toMatch(/ stable Release.* not signed/)
  })

  it('was changed after it was signed', async () => {
    const file = join(archive.folder, 'dists/stable/InRelease')
    await writeFile(file, (await readFile(file, 'utf8')).replace('Label: Test', 'Label: Tost'))
    const { error, fix } = await refusal(await lock())
    expect(error).toMatch(/ stable InRelease.* not signed|BADSIG/)
    expect(fix).toContain('not signed by a key of')
  })

  it('has a keyring that is not there', async () => {
    await writeProject(project, { ...definition(), keyring: '/nowhere/key.gpg' })
    const { fix } = await refusal(await lock())
    expect(fix).toContain('not signed by a key of /nowhere/key.gpg')
  })

  it('serves an outdated index', async () => {
    await archive.publish({ ...security, validUntil: new Date('2026-02-10') })
    const { error, fix } = await refusal(await lock())
    expect(error).toContain('expired')
    expect(fix).toBe('the mirror serves an outdated index: use another mirror')
  })

  it('serves an index that is not the signed one', async () => {
    archive.server.faults.set('dists/stable/main/binary-amd64/Packages', 'tampered')
    const { error } = await refusal(await lock())
    expect(error).toMatch(
      /^Reading the test archive's indexes failed: .*dists\/stable\/main\/binary-amd64\/Packages/,
    )
  })

  it('is no archive', async () => {
    const { error, fix } = await refusal(await lock({ SEEDER_MIRROR_DEBIAN: `${archive.url}nothing/` }))
    expect(error).toContain('nothing stable Release')
    expect(fix).toContain('SEEDER_MIRROR_*')
  })

  it('cannot be reached', async () => {
    const { error, fix } = await refusal(await lock({ SEEDER_MIRROR_DEBIAN: 'http://127.0.0.1:9/debian' }))
    expect(error).toContain('http://127.0.0.1:9/debian')
    expect(fix).toContain('check the network and the mirror')
  })
})

describe('a definition that the archive cannot resolve', () => {
  it('has a package that does not exist', async () => {
    await writeProject(project, definition(['balancer', 'no-such-thing']))
    const { error, fix } = await refusal(await lock())
    expect(error).toBe('Resolving the packages failed: Unable to locate package no-such-thing')
    expect(fix).toBe('check the package names in the definition and in its base')
  })

  it('has a package whose dependency does not exist', async () => {
    await archive.publish({ ...stable, packages: stable.packages.filter((one) => one !== lua) })
    const { error } = await refusal(await lock())
    expect(error).toBe(
      'Resolving the packages failed: balancer : Depends: liblua (>= 5) but it is not installable',
    )
  })

  it('takes its version from a package that it does not install', async () => {
    await writeProject(project, { ...definition(), version: 'liblua9' })
    const { error, fix } = await refusal(await lock())
    expect(error).toBe('The version of tiny follows the package liblua9, which it does not install')
    expect(fix).toContain('version.package in its image.yaml')
  })
})

it('that is stopped while the archive is silent ends with 130 and writes nothing', async () => {
  archive.server.faults.set('dists/stable/InRelease', 'stalled')
  archive.server.requests.length = 0
  const env = {
    XDG_CACHE_HOME: dirname(cache),
    SEEDER_MIRROR_DEBIAN: archive.url,
    SEEDER_MIRROR_DEBIAN_SECURITY: archive.url,
  }
  const entry = join(checkout, 'src/cli.ts')
  const locking = execa(process.execPath, [entry, '-C', project, 'lock', 'tiny'], { env, reject: false })
  await expect.poll(() => archive.server.requests, { timeout: 10_000 }).toContain('dists/stable/InRelease')
  locking.kill('SIGTERM')
  expect(await locking).toMatchObject({ exitCode: 130, stderr: 'seeder: stopped; nothing was left behind' })
  expect(await readdir(join(project, 'images/tiny'))).toEqual(['image.yaml'])
  expect(await readdir(cache)).toEqual([])
})

it('leaves the lock that was there when the new one cannot be made', async () => {
  await lock()
  const before = await readFile(lockFile, 'utf8')
  archive.server.faults.set('dists/stable/InRelease', 'missing')
  archive.server.faults.set('dists/stable/Release', 'missing')
  expect(await lock()).toMatchObject({ code: 1 })
  expect(await readFile(lockFile, 'utf8')).toBe(before)
})
