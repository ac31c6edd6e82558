import { describe, expect, it } from 'vitest'
import { compareVersions, parseTag } from '../../../../src/release/format/tag.ts'

describe('the order of versions', () => {
  it.each([
    ['numbers count as numbers', '3.0.9-1', '3.0.10-1'],
    ['so does the revision', '3.0.11-2', '3.0.11-10'],
    ['the revision is not a part of the upstream version', '1.36-2', '1.36.1-1'],
    ['nor is a high one', '1.36-20', '1.36.1-1'],
    ['a version that goes on is newer', '1.36-1', '1.36.0-1'],
    ['a pre-release is older than its release', '1.0rc1-1', '1.0-1'],
    ['whatever the revision', '1.0rc1-9', '1.0-1'],
    ['and than the one after', '1.0rc1-1', '1.0.1-1'],
    ['pre-releases have an order', '1.0rc2-1', '1.0rc10-1'],
    ['so have their words', '1.0beta3-1', '1.0rc1-1'],
    ['a zero in front says nothing', '1.02.1-1', '1.2.2-1'],
  ])('%s: %s is older than %s', (_, older, newer) => {
    expect(compareVersions(older, newer)).toBeLessThan(0)
    expect(compareVersions(newer, older)).toBeGreaterThan(0)
  })

  it('is none between a version and itself', () => {
    expect(compareVersions('1.0rc1-3', '1.0rc1-3')).toBe(0)
  })
})

describe('a tag', () => {
  it('is split where the version begins', () => {
    expect(parseTag('kubernetes-node-1.36.0-1')).toEqual({ image: 'kubernetes-node', version: '1.36.0-1' })
  })

  it.each(['v1.2.3', 'haproxy-3.0.11', 'haproxy', '../haproxy-3.0.11-1', 'haproxy-3.0.11-1/x'])(
    '%s is not one of an image',
    (tag) => {
      expect(parseTag(tag)).toBeUndefined()
    },
  )
})
