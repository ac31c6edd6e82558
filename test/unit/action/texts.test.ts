import { join } from 'node:path'
import { describe, expect, it, test } from 'vitest'
import { drawProgress } from '../../../src/action/progress-diagram.ts'
import { type CommentEntry, describePullRequest } from '../../../src/action/pull-comment.ts'
import { formatSummary } from '../../../src/action/summary.ts'
import { differenceOf } from '../../../src/release/difference/difference.ts'
import { plain } from '../../../src/report/markdown.ts'
import { lookUp, NO_FEED } from '../../../src/scan/known.ts'
import { someManifest, someRecord } from '../../support/build-record.ts'
import { feedsOf, someContained } from '../../support/scan/feeds.ts'

/** The whole texts that go to GitHub are in the folder golden. `vitest -u` updates them. */
const golden = (name: string) => join(import.meta.dirname, 'golden', name)

const promoted = { manifest: someManifest(), record: someRecord() }
const manifest = someManifest({
  version: '3.0.12-1',
  raw: { sha256: 'e'.repeat(64), size: 810_000_000 },
  qcow2: { file: 'haproxy-3.0.12-1.qcow2', sha256: 'f'.repeat(64), size: 126_000_000 },
  packages: { haproxy: '3.0.12-1', keepalived: '1:2.3.3-1', curl: '8.14.1-2' },
})
const failing = someRecord({
  passed: false,
  version: '3.0.12-1',
  boot: { readyMs: null },
  checks: [
    { name: 'boots', title: 'it boots', status: 'passed', detail: 'after 47 s' },
    { name: 'balances', title: 'it balances', status: 'failed', detail: 'only w1 | <b>answered</b>\nno w2' },
    { name: 'drains', title: 'it drains', status: 'skipped', detail: 'not reached' },
  ],
})

const known = lookUp(
  someContained({ haproxy: '3.0.12-1', curl: '8.14.1-2' }),
  someContained({ haproxy: '3.0.11-1+deb13u1', keepalived: '1:2.3.3-1' }),
  {
    feeds: feedsOf([
      { id: 'CVE-2026-1', source: 'haproxy', fixed: '3.0.12-1', urgency: 'medium' },
      { id: 'CVE-2026-2', source: 'haproxy', urgency: 'low' },
      { id: 'CVE-2026-3', source: 'curl', fixed: '8.14.1-3', urgency: 'low' },
    ]),
    catalog: {
      ids: new Set(['CVE-2026-2']),
      download: {
        name: 'kev.json',
        sha256: '1'.repeat(64),
        date: '2026-08-31T00:00:00.000Z',
        written: '2026-11-28T00:00:00.000Z',
      },
    },
  },
  new Date('2026-11-29T12:00:00Z'),
)

test('summary of a build', async () => {
  const story = formatSummary({
    image: 'haproxy',
    version: '3.0.12-1',
    progress: { reached: 'built' },
    manifest,
    difference: differenceOf(promoted, { manifest }),
  })
  await expect(story).toMatchFileSnapshot(golden('build.md'))
})

test('summary of a boot test that failed', async () => {
  const story = formatSummary({
    image: 'haproxy',
    version: '3.0.12-1',
    progress: { reached: 'built', failed: 'tested' },
    record: failing,
    difference: differenceOf(promoted, { manifest, record: failing }),
    vulnerabilities: NO_FEED,
  })
  await expect(story).toMatchFileSnapshot(golden('test-failed.md'))
})

test('summary of a deploy', async () => {
  const story = formatSummary({
    image: 'haproxy',
    version: '3.0.12-1',
    progress: { reached: 'deployed', notes: { deployed: 'pve1: 9003' } },
    remarks: ['Is now template 9003 on pve1, replacing template 9002.'],
  })
  await expect(story).toMatchFileSnapshot(golden('deploy.md'))
})

describe('comment of a pull request', () => {
  const entry: CommentEntry = {
    schema: 1,
    manifest,
    record: someRecord({ version: '3.0.12-1', boot: { readyMs: 45_000 } }),
    promoted,
    files: null,
    vulnerabilities: known,
    artifact: 'https://github.com/operator/platform/actions/runs/1/artifacts/2',
    page: 'https://github.com/operator/platform/actions/runs/1/artifacts/3',
  }
  const origin = {
    expected: ['etcd', 'haproxy'],
    commit: 'abcdef0123456789abcdef0123456789abcdef01',
    run: 'https://github.com/operator/platform/actions/runs/1',
  }

  it('with an image that was not finished', async () => {
    await expect(describePullRequest([entry], origin)).toMatchFileSnapshot(golden('comment.md'))
  })

  it('is the same for any order in which the jobs ended', () => {
    const other = { ...entry, manifest: someManifest({ image: 'etcd' }), promoted: null }
    expect(describePullRequest([entry, other], origin)).toBe(describePullRequest([other, entry], origin))
  })

  it('of an image that is identical to the promoted one', () => {
    const same = { ...entry, ...promoted }
    expect(describePullRequest([same], origin)).toContain(
      'The disk is the same, bit for bit, as promoted `3.0.11-1`.',
    )
  })

  it('of an image that was not scanned has no number of vulnerabilities', () => {
    const text = describePullRequest([{ ...entry, vulnerabilities: NO_FEED }], { ...origin, expected: [] })
    expect(text).toContain('| ✓ 2 passed | not scanned |')
    expect(text).toContain('##### Known vulnerabilities of haproxy\n\nNot scanned: no feed.\n')
  })

  it('folds a long list of packages', () => {
    const packages = Object.fromEntries(Array.from({ length: 250 }, (_, index) => [`lib${index}`, '1.0']))
    const text = describePullRequest([{ ...entry, manifest: { ...manifest, packages } }], origin)
    expect(text).toContain('<summary>Packages: 250 added, 2 removed</summary>')
    expect(text).toContain('…and 52 more')
  })

  it('when no image is changed any more', () => {
    expect(describePullRequest([], { ...origin, expected: [] })).toContain(
      'This pull request changes no image.',
    )
  })
})

test('text is escaped for Markdown', () => {
  expect(plain('a <img src=x> | `b` *c* @operator\n# d')).toBe(
    'a &lt;img src=x> \\| \\`b\\` \\*c\\* @<!-- -->operator # d',
  )
})

test('syntax of Mermaid is removed from a diagram', () => {
  expect(drawProgress({ reached: 'deployed', notes: { deployed: 'x"]; click a "javascript:1"' } })).toContain(
    'deployed["deployed<br>x    click a  javascript:1 "]:::done',
  )
})
