import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { describeChanges } from '../../../src/commands/lock.ts'
import { type Image, loadImage } from '../../../src/image/definition.ts'
import {
  formatLock,
  type Lock,
  type LockedPackage,
  lockDigest,
  readLock,
  requestDigest,
} from '../../../src/image/lock.ts'
import { lockedContainer } from '../../support/registry/locked.ts'

const checkout = join(import.meta.dirname, '../../..')
const folder = await mkdtemp(join(tmpdir(), 'seeder lock '))
const image: Image = { ...(await loadImage(checkout, 'haproxy')), lockFile: join(folder, 'image.lock.json') }
afterAll(() => rm(folder, { recursive: true }))

function locked(name: string, version: string): LockedPackage {
  const path = `pool/main/${name}_${version}_amd64.deb`
  return { name, version, architecture: 'amd64', archive: 'debian', path, size: 7, sha256: 'a'.repeat(64) }
}

function lockOf(packages: LockedPackage[]): Lock {
  return {
    schema: 1,
    image: 'haproxy',
    base: 'debian-trixie',
    version: '3.0.11-1',
    epoch: 1_700_000_000,
    request: requestDigest(image),
    packages,
    tools: [locked('mmdebstrap', '1.5')],
    artifacts: [],
    containers: [],
  }
}

const lock = lockOf([locked('haproxy', '3.0.11-1'), locked('libc6', '2.41')])

describe('the text of a lock', () => {
  it('has a line per package, so that a diff shows the packages that changed', () => {
    const changed = { ...lock, packages: [locked('haproxy', '3.0.12-1'), locked('libc6', '2.41')] }
    const before = formatLock(lock).split('\n')
    const after = formatLock(changed).split('\n')
    expect(after).toHaveLength(before.length)
    expect(after.filter((line, index) => line !== before[index])).toEqual([
      expect.stringContaining('"name":"haproxy","version":"3.0.12-1"'),
    ])
  })

  it('is JSON with everything in it, and the same after reading it back', async () => {
    const text = formatLock(lock)
    expect({ artifacts: [], containers: [], ...JSON.parse(text) }).toEqual(lock)
    await writeFile(image.lockFile, text)
    const read = await readLock(image)
    expect(formatLock(read)).toBe(text)
    expect(lockDigest(read)).toBe(lockDigest(lock))
  })

  it('is that of the repository’s own lock', async () => {
    const own = await loadImage(checkout, 'haproxy')
    const read = await readLock(own)
    expect(read.packages.map((one) => one.name)).toEqual(expect.arrayContaining(['haproxy', 'keepalived']))
    expect(read.epoch).toBeGreaterThan(1_700_000_000)
  })
})

describe('a lock that cannot be used', () => {
  const relock = 'run: scripts/seeder lock haproxy'

  it('is missing', async () => {
    const missing = { ...image, lockFile: join(folder, 'none', 'image.lock.json') }
    await expect(readLock(missing)).rejects.toMatchObject({
      name: 'SeederError',
      message: `haproxy has no lock on debian-trixie: ${missing.lockFile} cannot be read`,
      fix: relock,
    })
  })

  it.each([
    ['not JSON', '{ "schema": 1,'],
    ['of a later schema', JSON.stringify({ ...lock, schema: 2 })],
    ['without packages', JSON.stringify({ ...lock, packages: [] })],
    ['with an unknown key', JSON.stringify({ ...lock, extra: true })],
    [
      'with a digest that is none',
      JSON.stringify({ ...lock, packages: [{ ...locked('a', '1'), sha256: 'abc' }] }),
    ],
    [
      'with a path out of the archive',
      JSON.stringify({ ...lock, packages: [{ ...locked('a', '1'), path: 'pool/../../etc/passwd' }] }),
    ],
    [
      'with an absolute path',
      JSON.stringify({ ...lock, packages: [{ ...locked('a', '1'), path: '/etc/passwd' }] }),
    ],
    [
      'with a name that a shell would read',
      JSON.stringify({ ...lock, packages: [{ ...locked('a', '1'), name: 'a;reboot' }] }),
    ],
  ])('is %s', async (_what, text) => {
    await writeFile(image.lockFile, text)
    await expect(readLock(image)).rejects.toMatchObject({
      name: 'SeederError',
      message: expect.stringMatching(
        /image\.lock\.json is not a lock that this version of seeder understands: .+/,
      ),
      fix: relock,
    })
  })

  it('is another image’s', async () => {
    await writeFile(image.lockFile, formatLock({ ...lock, image: 'etcd' }))
    await expect(readLock(image)).rejects.toMatchObject({
      message: `${image.lockFile} locks etcd on debian-trixie, not haproxy on debian-trixie`,
      fix: relock,
    })
  })

  it('is stale', async () => {
    await writeFile(image.lockFile, formatLock(lock))
    await expect(readLock({ ...image, packages: [...image.packages, 'curl'] })).rejects.toMatchObject({
      message:
        'The lock of haproxy is stale: packages, artifacts, container images, tools or suites in the definition changed after it was written',
      fix: relock,
    })
  })

  it('on another base names that base in the fix', async () => {
    const other = {
      ...image,
      lockFile: join(folder, 'image.other.lock.json'),
      lockOptions: ['--base', 'other'],
      base: { ...image.base, name: 'other' },
    }
    await expect(readLock(other)).rejects.toMatchObject({ fix: `${relock} --base other` })
  })
})

describe('the request of a lock', () => {
  const changedBase = (change: Partial<Image['base']>): Image => ({
    ...image,
    base: { ...image.base, ...change },
  })

  it.each<[string, Image]>([
    ['a package', { ...image, packages: [...image.packages, 'curl'] }],
    ['the kernel', changedBase({ kernel: 'linux-image-amd64' })],
    ['a tool', { ...image, tools: { ...image.tools, packages: [...image.tools.packages, 'jq'] } }],
    ['a requirement', { ...image, requires: { haproxy: '3.0' } }],
    ['a pocket', changedBase({ pockets: image.base.pockets.slice(1) })],
    ['a component', changedBase({ components: ['main', 'contrib'] })],
    ['the revision', { ...image, version: { ...image.version, revision: 2 } }],
  ])('changes with %s', (_what, changed) => {
    expect(requestDigest(changed)).not.toBe(requestDigest(image))
  })

  it.each<[string, Image]>([
    ['a service', { ...image, services: { ...image.services, enable: [] } }],
    ['an excluded path', { ...image, exclude: ['/usr/share/x/*'] }],
    ['the order of packages', { ...image, packages: [...image.packages].reverse() }],
    ['the description', { ...image, description: 'another' }],
    ['the project’s folder', { ...image, folder: '/elsewhere', trees: [] }],
  ])('does not change with %s', (_what, changed) => {
    expect(requestDigest(changed)).toBe(requestDigest(image))
  })
})

describe('the changes between two locks', () => {
  it('are a line per package', () => {
    const after = lockOf([locked('haproxy', '3.0.12-1'), locked('lua', '5.4')])
    expect(describeChanges(lock, after)).toEqual([
      '~ haproxy 3.0.11-1 → 3.0.12-1',
      '- libc6 2.41',
      '+ lua 5.4',
    ])
  })

  it('are empty for a first lock and for the same one', () => {
    expect(describeChanges(undefined, lock)).toEqual([])
    expect(describeChanges(lock, lock)).toEqual([])
  })

  it('names a container image whose tag leads to another one', () => {
    const withImage = (own: string): Lock => ({ ...lock, containers: [lockedContainer('pause', own)] })
    expect(describeChanges(withImage('a'), withImage('b'))).toEqual([
      '~ pause v1 (sha256 aaaaaaaaaaaa) → v1 (sha256 bbbbbbbbbbbb)',
    ])
    expect(formatLock(withImage('a'))).toContain('"containers": [\n    {"name":"pause"')
  })
})
