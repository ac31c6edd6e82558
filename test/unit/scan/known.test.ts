import { describe, expect, it } from 'vitest'
import { type Known, lookUp, NO_FEED } from '../../../src/scan/known.ts'
import { describeKnown, describeShortly } from '../../../src/scan/known-markdown.ts'
import { knownText } from '../../../src/scan/known-text.ts'
import { feedsOf, someContained } from '../../support/scan/feeds.ts'

const now = new Date('2026-11-29T12:00:00Z')
const older = someContained({ haproxy: '3.0.11-1', glibc: '2.41-12' })
const newer = someContained({ haproxy: '3.0.12-1', glibc: '2.41-12' })

/** A vulnerability that is gone in the newer version, a new one, and an unchanged one. */
const usual = feedsOf([
  { id: 'CVE-2026-1', source: 'haproxy', fixed: '3.0.12-1', urgency: 'high' },
  { id: 'CVE-2026-2', source: 'haproxy', introduced: '3.0.12-1', fixed: '3.0.13-1' },
  { id: 'CVE-2026-3', source: 'glibc', urgency: 'low' },
])
const look = (feeds = usual, before: typeof older | undefined = older): Known =>
  lookUp(newer, before, { feeds, catalog: undefined }, now)

describe('compared with an older version', () => {
  it('prints what is gone, unchanged and new', () => {
    const known = look()
    if (!known.isScanned) expect.fail(known.reason)
    const ids = (some: readonly { id: string }[] = []) => some.map(({ id }) => id)
    expect(ids(known.changes?.gone)).toEqual(['CVE-2026-1'])
    expect(ids(known.changes?.stayed)).toEqual(['CVE-2026-3'])
    expect(ids(known.changes?.came)).toEqual(['CVE-2026-2'])
    expect(known.changes?.before.total).toBe(2)
    expect(knownText(known, '3.0.11-1', '3.0.12-1')).toMatch(
      /^known vulnerabilities of 3\.0\.11-1: 2; 1 gone, 1 unchanged, 1 new\n.*new vulnerabilities: 1\n.*CVE-2026-2 +haproxy 3\.0\.12-1 +3\.0\.13-1/s,
    )
  })

  it('of another release of the distribution, there is no comparison', () => {
    const bookworm = { ...older, release: { distribution: 'debian', suite: 'bookworm' } }
    expect(look(usual, bookworm)).toMatchObject({ isScanned: true, changes: null })
    expect(describeKnown(look(usual, bookworm), 'promoted')).toContain('Not compared')
  })
})

it('without a feed the result does not look like a scan', () => {
  expect(describeKnown(NO_FEED, 'promoted')).toBe('Not scanned: no feed.')
  expect(describeShortly(NO_FEED)).toBe('not scanned')
  expect(knownText(NO_FEED, 'a', 'b')).toBe('known vulnerabilities: not scanned: no feed')
  for (const text of [describeKnown(NO_FEED, 'promoted'), knownText(NO_FEED, 'a', 'b')]) {
    expect(text).not.toMatch(/\d/)
  }
})

describe('hostile text in a feed', () => {
  const evil = '![x](https://evil.example)|<img src=x>`\u001b[2J\n# @everyone'
  const known = look(feedsOf([{ id: evil, source: 'haproxy', fixed: `9${evil}`, urgency: evil }], `a|b\n@c`))

  it('stays text in Markdown, in its cell', () => {
    const text = describeKnown(known, 'promoted')
    // Outside of code nothing of it is left.
    expect(text.replace(/`[^`\n]*`/g, '')).not.toMatch(/evil|img|everyone|\\`/)
    expect(text).not.toContain('\u001b')
    expect(text).not.toContain('\n#')
    const row = text.split('\n').find((line) => line.startsWith('| `![x]')) ?? ''
    // Four borders between five cells, and the two outside; a code span ends where it should.
    expect(row.match(/\|/g)).toHaveLength(6)
    expect(row.match(/`/g)).toHaveLength(8)
    expect(describeShortly(known)).toBe('1 (1 fixable)')
  })

  it('contains no control characters for a terminal', () => {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: it is what must not be there
    expect(knownText(known, 'a', 'b')).not.toMatch(/[\u0000-\u0009\u000b-\u001f]/)
  })
})

it('names the feed with its date and digest, and reports when it is outdated', () => {
  const text = describeKnown(
    look(feedsOf([{ id: 'CVE-2026-1', source: 'haproxy' }], 'old.json', '2026-08-31T12:00:00Z')),
    'x',
  )
  expect(text).toContain('**Stale**: old.json was 90 days old: it lacks newer vulnerabilities.')
  expect(text).toMatch(
    /<sub>`old\.json \(OSV, 1 entries for this release, of 2026-08-31\), sha256 0{64}`<\/sub>$/,
  )
  expect(describeKnown(look(), 'x')).not.toContain('Stale')
})

it('lists only some of many, because a comment has a size limit', () => {
  const many = Array.from({ length: 3000 }, (_, index) => ({ id: `CVE-2026-${index}`, source: 'glibc' }))
  const text = describeKnown(look(feedsOf(many), undefined), 'promoted')
  expect(text).toContain('3000 known vulnerabilities')
  expect(text.length).toBeLessThan(10_000)
})
