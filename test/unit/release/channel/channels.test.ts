import { describe, expect, it } from 'vitest'
import type { Release } from '../../../../src/github/release.ts'
import { channelsByImage, DEMOTED_MARKER } from '../../../../src/release/channel/channels.ts'

let lastId = 0

function release(tag: string, state: 'promoted' | 'candidate' | 'demoted' | 'draft'): Release {
  return {
    id: ++lastId,
    tag,
    title: tag,
    target: 'main',
    immutable: true,
    url: `https://github.com/${tag}`,
    draft: state === 'draft',
    prerelease: state !== 'promoted',
    body: state === 'demoted' ? `Notes\n${DEMOTED_MARKER}\n` : 'Notes',
    createdAt: '2026-11-28T12:00:00Z',
    publishedAt: '2026-11-28T12:00:00Z',
    assets: [],
  }
}

function channels(...releases: Release[]) {
  const found = channelsByImage(releases).get('haproxy')
  return { promoted: found?.promoted?.tag, candidate: found?.candidate?.tag }
}

describe('where an image stands', () => {
  it('has the highest full release as promoted, whatever was made last', () => {
    const releases = [release('haproxy-3.0.9-1', 'promoted'), release('haproxy-3.0.10-1', 'promoted')]
    expect(channels(...releases)).toEqual({ promoted: 'haproxy-3.0.10-1', candidate: undefined })
    expect(channels(...releases.toReversed())).toMatchObject({ promoted: 'haproxy-3.0.10-1' })
  })

  it('has the highest newer pre-release as candidate', () => {
    expect(
      channels(
        release('haproxy-3.0.11-2', 'candidate'),
        release('haproxy-3.0.11-10', 'candidate'),
        release('haproxy-3.0.11-1', 'promoted'),
      ),
    ).toEqual({ promoted: 'haproxy-3.0.11-1', candidate: 'haproxy-3.0.11-10' })
  })

  it('has no candidate that is older than the promoted version', () => {
    const releases = [release('haproxy-3.0.11-1', 'candidate'), release('haproxy-3.0.12-1', 'promoted')]
    expect(channels(...releases)).toEqual({ promoted: 'haproxy-3.0.12-1', candidate: undefined })
  })

  it('does not take a demoted version for a candidate', () => {
    expect(
      channels(
        release('haproxy-3.0.11-1', 'promoted'),
        release('haproxy-3.0.11-2', 'candidate'),
        release('haproxy-3.0.11-3', 'demoted'),
      ),
    ).toEqual({ promoted: 'haproxy-3.0.11-1', candidate: 'haproxy-3.0.11-2' })
  })

  it('knows nothing of drafts and of tags that are not of images', () => {
    expect([
      ...channelsByImage([release('haproxy-3.0.11-1', 'draft'), release('v1.2.3', 'promoted')]).keys(),
    ]).toEqual([])
  })

  it('keeps images apart whose names begin alike', () => {
    const found = channelsByImage([
      release('kubernetes-node-1.36.0-1', 'promoted'),
      release('kubernetes-1.36.1-1', 'candidate'),
    ])
    expect([...found.keys()]).toEqual(['kubernetes', 'kubernetes-node'])
    expect(found.get('kubernetes-node')?.versions.map(({ version }) => version)).toEqual(['1.36.0-1'])
  })

  it('lists the versions newest first', () => {
    const tags = ['haproxy-3.0.9-1', 'haproxy-3.0.11-1', 'haproxy-3.0.10-2']
    const found = channelsByImage(tags.map((tag) => release(tag, 'candidate'))).get('haproxy')
    expect(found?.versions.map(({ version }) => version)).toEqual(['3.0.11-1', '3.0.10-2', '3.0.9-1'])
  })
})
