import { describe, expect, it } from 'vitest'
import type { Release } from '../../../../src/github/release.ts'
import type { HostReport } from '../../../../src/host/report.ts'
import { channelsByImage } from '../../../../src/release/channel/channels.ts'
import { behind, statusRows } from '../../../../src/release/deploy/status.ts'
import { statusMarkdown, statusText } from '../../../../src/release/deploy/status-text.ts'

const release = (tag: string, prerelease = false): Release => ({
  id: 1,
  tag,
  title: tag,
  body: '',
  target: 'main',
  draft: false,
  prerelease,
  immutable: true,
  url: '',
  createdAt: '2026-11-28T12:00:00Z',
  publishedAt: '2026-11-28T12:00:00Z',
  assets: [],
})

const report = (
  host: string,
  templates: readonly Partial<HostReport['templates'][number]>[],
  taken = '2026-11-28T12:00:00Z',
): HostReport => ({
  schema: 1,
  host,
  taken,
  templates: templates.map((template) => ({
    image: 'haproxy',
    version: '3.0.11-1',
    vmid: 9000,
    storage: 'local',
    current: true,
    deployed: '2026-11-28T11:00:00Z',
    sha256: '',
    clones: [],
    ...template,
  })),
})

describe('how far behind', () => {
  const published = ['3.0.9-1', '3.0.10-1', '3.0.10-2', '3.0.11-1', '3.0.12-1']

  it('counts the published versions between, newest first', () => {
    expect(behind('3.0.9-1', '3.0.11-1', published)).toEqual({
      by: ['3.0.11-1', '3.0.10-2', '3.0.10-1'],
      ahead: false,
    })
    expect(behind('3.0.11-1', '3.0.11-1', published)).toEqual({ by: [], ahead: false })
  })

  it('is ahead with a candidate, or after a demotion', () => {
    expect(behind('3.0.12-1', '3.0.11-1', published)).toEqual({ by: ['3.0.12-1'], ahead: true })
  })

  it('counts the promoted one also from a version that nobody published', () => {
    expect(behind('3.0.8-1', '3.0.9-1', [])).toEqual({ by: ['3.0.9-1'], ahead: false })
  })
})

describe('the table', () => {
  const known = channelsByImage([
    release('haproxy-3.0.12-1', true),
    release('haproxy-3.0.11-1'),
    release('haproxy-3.0.10-1'),
    release('etcd-3.6.1-1', true),
  ])

  it('has a row for each image and host, and the report that was taken last', () => {
    const rows = statusRows(known, [
      report('pve2', [{ version: '3.0.11-1' }]),
      report('pve10', [
        {
          version: '3.0.10-1',
          vmid: 9000,
          clones: [
            { vmid: 200, name: 'lb1' },
            { vmid: 201, name: null },
          ],
        },
      ]),
      report('pve2', [], '2026-11-27T12:00:00Z'),
      report('pve10', [], '2026-11-27T12:00:00Z'),
    ])
    expect(statusText(rows).split('\n')).toEqual([
      'image    candidate  promoted  host   deployed         clones             behind',
      '-------  ---------  --------  -----  ---------------  -----------------  --------------------',
      'etcd     3.6.1-1    -         pve2   -                -                  -',
      'etcd     3.6.1-1    -         pve10  -                -                  -',
      'haproxy  3.0.12-1   3.0.11-1  pve2   3.0.11-1 (9000)  -                  no',
      'haproxy  3.0.12-1   3.0.11-1  pve10  3.0.10-1 (9000)  3.0.10-1: lb1 201  1 version (3.0.11-1)',
    ])
  })

  it('shows the clones of each template, and a host without one', () => {
    const old = { clones: [{ vmid: 200, name: 'lb1' }], current: false, version: '3.0.10-1', vmid: 9001 }
    const now = { clones: [{ vmid: 202, name: 'lb2' }], version: '3.0.11-1' }
    const [, row] = statusRows(known, [report('pve1', [old, now])])
    expect(row?.clones.map(({ version, names }) => [version, names])).toEqual([
      ['3.0.11-1', ['lb2']],
      ['3.0.10-1', ['lb1']],
    ])
    expect(statusText(statusRows(known, [report('pve1', [])]))).toMatch(/haproxy .* pve1 .* not deployed$/)
  })

  it('is about GitHub alone without hosts, and has an image that only a host has', () => {
    expect(statusRows(known, []).map(({ image, host }) => [image, host])).toEqual([
      ['etcd', null],
      ['haproxy', null],
    ])
    const rows = statusRows(new Map(), [report('pve1', [{}])])
    expect(rows).toMatchObject([{ image: 'haproxy', promoted: null, behind: null }])
  })

  it('is Markdown for a job summary', () => {
    expect(statusMarkdown(statusRows(known, [])).split('\n')).toEqual([
      '| image | candidate | promoted | host | deployed | clones | behind |',
      '| --- | --- | --- | --- | --- | --- | --- |',
      '| etcd | 3.6.1-1 | - | - | - | - | - |',
      '| haproxy | 3.0.12-1 | 3.0.11-1 | - | - | - | - |',
    ])
    expect(statusMarkdown([])).toBe('Nothing is published, and nothing is deployed.')
  })
})
