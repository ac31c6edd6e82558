import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parseSimulation } from '../../../src/image/apt.ts'
import { loadImage } from '../../../src/image/definition.ts'
import type { LockedPackage } from '../../../src/image/lock.ts'
import { imageVersion, isAtLeast } from '../../../src/image/resolve.ts'

const image = await loadImage(join(import.meta.dirname, '../../..'), 'haproxy')

describe('an apt simulation', () => {
  it('gives the packages it would install, with the architecture of each', () => {
    const output = [
      'NOTE: This is only a simulation!',
      'Inst gcc-14-base (14.2.0-19 Debian:13.1/stable [amd64])',
      'Inst libc6 [2.36-9] (2.41-12 Debian:13.1/stable, Debian-Security:13/stable-security [amd64]) []',
      'Inst libfoo:amd64 (1.0 Debian:13.1/stable [amd64])',
      'Inst ca-certificates (20250419 Debian:13.1/stable [all])',
      'Conf gcc-14-base (14.2.0-19 Debian:13.1/stable [amd64])',
      '',
    ].join('\n')
    expect(parseSimulation(output)).toEqual([
      { name: 'gcc-14-base', version: '14.2.0-19', architecture: 'amd64' },
      { name: 'libc6', version: '2.41-12', architecture: 'amd64' },
      { name: 'libfoo', version: '1.0', architecture: 'amd64' },
      { name: 'ca-certificates', version: '20250419', architecture: 'all' },
    ])
  })

  it('can be empty', () => {
    expect(parseSimulation('')).toEqual([])
  })
})

describe('the version of an image', () => {
  function versionOf(debianVersion: string, revision = 1): string {
    const locked: LockedPackage = {
      name: 'haproxy',
      version: debianVersion,
      architecture: 'amd64',
      archive: 'debian',
      path: 'pool/h.deb',
      size: 1,
      sha256: '0'.repeat(64),
    }
    return imageVersion({ ...image, version: { package: 'haproxy', revision } }, [locked])
  }

  it.each([
    ['3.0.11-1+deb13u1', '3.0.11-1'],
    ['3.0.11-1', '3.0.11-1'],
    ['2:1.37.1-1.1', '1.37.1-1'],
    ['3.6.16+dfsg-2', '3.6.16-1'],
    ['2.41-rc1-3', '2.41-rc1-1'],
    ['1.2~rc1-1', '1.2-1'],
    ['20250419+deb13u1', '20250419-1'],
  ])('of the package’s %s is %s', (debianVersion, version) => {
    expect(versionOf(debianVersion)).toBe(version)
  })

  it('ends in the image’s own revision', () => {
    expect(versionOf('3.0.11-1', 4)).toBe('3.0.11-4')
  })

  it('needs the package it follows', () => {
    expect(() => imageVersion(image, [])).toThrow(
      expect.objectContaining({
        message: 'The version of haproxy follows the package haproxy, which it does not install',
        fix: expect.stringContaining('add haproxy to its packages'),
      }),
    )
  })
})

describe('a version that an image requires', () => {
  it.each([
    ['2.0', '2.0', true],
    ['2.1.9', '2.0', true],
    ['10.0', '9.9', true],
    ['1.7.24', '2.0', false],
    ['2', '2.0.0', true],
    ['2.0', '2.0.1', false],
  ])('%s against %s: %s', (version, oldest, enough) => {
    expect(isAtLeast(version, oldest)).toBe(enough)
  })
})
