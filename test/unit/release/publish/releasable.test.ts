import { describe, expect, it } from 'vitest'
import { requireReleasable } from '../../../../src/release/publish/build-folder.ts'
import { someManifest } from '../../../support/build-record.ts'

describe('a build that is to be released', () => {
  it('has made all of its layers itself, and knows whose its files are', () => {
    expect(() => requireReleasable(someManifest())).not.toThrow()
  })

  it.each([
    [['tools', 'rootfs', 'initrd'], 'usr'],
    [[], 'tools, rootfs, initrd, usr'],
  ])('is refused with layers of a cache: made %j', (made, cached) => {
    expect(() => requireReleasable(someManifest({ made }))).toThrow(
      `haproxy 3.0.11-1 was built with layers of a cache: ${cached}`,
    )
  })

  it('is refused with files that nobody owns, which are named', () => {
    const unowned = ['a', 'b', 'c', 'd', 'e', 'f', 'g'].map((name) => `/usr/bin/${name}`)
    expect(() => requireReleasable(someManifest({ files: { total: 9, unowned } }))).toThrow(
      'files that no package, artifact or definition owns: /usr/bin/a, /usr/bin/b, /usr/bin/c, /usr/bin/d, /usr/bin/e and 2 more',
    )
  })
})
