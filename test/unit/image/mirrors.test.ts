import { describe, expect, it } from 'vitest'
import {
  type AptTarget,
  findMirrors,
  mirrorFromApt,
  mirrorVariable,
  snapshotVariable,
} from '../../../src/image/mirrors.ts'

function target(uri: string, more: Partial<AptTarget> = {}): AptTarget {
  return { uri, suite: 'trixie', component: 'main', origin: '', label: '', ...more }
}

const debian = { origin: 'Debian', label: 'Debian' }
const security = { origin: 'Debian', label: 'Debian-Security' }

describe('the runner’s own mirror', () => {
  it('is identified by its origin and label, whatever its path is', () => {
    const targets = [
      target('http://a.example/security/', security),
      target('http://a.example/mirror/deb/', debian),
    ]
    expect(mirrorFromApt('debian', targets)).toBe('http://a.example/mirror/deb/')
    expect(mirrorFromApt('debian-security', targets)).toBe('http://a.example/security/')
  })

  it('is identified by its path where apt has not read it yet', () => {
    const targets = [target('http://a.example/debian-security'), target('http://a.example/debian//')]
    expect(mirrorFromApt('debian', targets)).toBe('http://a.example/debian/')
    expect(mirrorFromApt('debian-security', targets)).toBe('http://a.example/debian-security/')
  })

  it('is not a third party’s archive that publishes a suite of the same name', () => {
    const targets = [
      target('http://vendor.example/debian/', { origin: 'Vendor', label: 'Vendor' }),
      target('http://pve.example/debian', { component: 'pve-no-subscription' }),
      target('http://b.example/backports/', { origin: 'Debian', label: 'Debian Backports' }),
    ]
    expect(mirrorFromApt('debian', targets)).toBeUndefined()
  })

  it('is preferably identified by its origin', () => {
    const targets = [target('http://guess.example/debian'), target('http://sure.example/d', debian)]
    expect(mirrorFromApt('debian', targets)).toBe('http://sure.example/d/')
  })
})

describe('environment variables', () => {
  it('are named after the archive', () => {
    expect(mirrorVariable('debian-security')).toBe('SEEDER_MIRROR_DEBIAN_SECURITY')
    expect(snapshotVariable('debian')).toBe('SEEDER_SNAPSHOT_DEBIAN')
  })

  it('come before the runner’s apt, and all URLs end in one slash', async () => {
    const found = await findMirrors(['debian', 'debian-security'], {
      SEEDER_MIRROR_DEBIAN: 'http://m.example/debian//',
      SEEDER_MIRROR_DEBIAN_SECURITY: 'http://m.example/sec',
      SEEDER_SNAPSHOT_DEBIAN: 'http://s.example/2026/',
    })
    expect([...found]).toEqual([
      ['debian', { mirror: 'http://m.example/debian/', snapshot: 'http://s.example/2026/' }],
      ['debian-security', { mirror: 'http://m.example/sec/' }],
    ])
  })

  it('are named in the fix when the runner’s apt has no such archive', async () => {
    await expect(findMirrors(['no-such-archive'], {})).rejects.toMatchObject({
      name: 'SeederError',
      message: 'No mirror of no-such-archive is known: the apt sources of this machine have none',
      fix: expect.stringContaining('set SEEDER_MIRROR_NO_SUCH_ARCHIVE '),
    })
  })
})
