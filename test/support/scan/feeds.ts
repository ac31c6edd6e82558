import type { Contained } from '../../../src/scan/contained.ts'
import type { Feeds } from '../../../src/scan/feed.ts'

export const trixie = { distribution: 'debian', suite: 'trixie' }

/** An image of these source packages, name → version. */
export function someContained(sources: Readonly<Record<string, string>>): Contained {
  const listed = Object.entries(sources).map(([name, version]) => ({ name, version }))
  return { release: trixie, sources: listed, others: [] }
}

/** A feed of trixie that says this; its newest entry is of `date`. */
export function feedsOf(
  advisories: readonly {
    readonly id: string
    readonly source: string
    readonly introduced?: string
    readonly fixed?: string
    readonly urgency?: string
  }[],
  name = 'feed.json',
  date = '2026-11-28T00:00:00.000Z',
): Feeds {
  return {
    release: trixie,
    feeds: [{ kind: 'OSV', name, sha256: '0'.repeat(64), date, written: date, entries: advisories.length }],
    advisories: advisories.map(({ id, source, introduced, fixed, urgency }) => ({
      id,
      source,
      urgency,
      undetermined: false,
      ranges: [{ introduced, fixed }],
    })),
  }
}
