import { type Download, staleDays } from './download.ts'
import type { Feed } from './feed.ts'
import type { Counts, ScanResult } from './scan.ts'

// Texts without markup: the callers add it.

/** `12 known vulnerabilities, 3 fixed by a newer package, 1 exploited; 2 more are not examined yet`. */
export function describeCounts({ total, fixable, exploited, undetermined }: Counts): string {
  const open = undetermined > 0 ? `; ${undetermined} more are not examined yet` : ''
  return `${total} known vulnerabilities, ${fixable} fixed by a newer package, ${describeExploited(exploited)}${open}`
}

/** The counts for a cell of a table. */
export function describeBriefly({ total, fixable, exploited }: Counts): string {
  const parts = [
    ...(fixable > 0 ? [`${fixable} fixable`] : []),
    ...(exploited ? [`${exploited} exploited`] : []),
  ]
  return parts.length > 0 ? `${total} (${parts.join(', ')})` : `${total}`
}

function describeExploited(exploited: number | null): string {
  return exploited === null ? 'not known which are exploited' : `${exploited} known to be exploited`
}

// Distributions have five or six; a feed with more misuses the field.
const MAX_URGENCIES = 10

/** `2 high, 5 not yet assigned`; empty when no feed has urgencies. `mark` escapes a name. */
export function describeUrgencies({ urgency }: Counts, mark = (name: string) => name): string {
  return Object.entries(urgency)
    .slice(0, MAX_URGENCIES)
    .map(([name, count]) => `${count} ${mark(name)}`)
    .join(', ')
}

/** A feed or catalog with its kind, date and digest. */
export function describeDownload(source: Download | Feed): string {
  const { name, date, written, sha256 } = source
  const kind =
    'kind' in source ? `${source.kind}, ${source.entries} entries for this release` : 'exploited ones'
  const age = date === null ? `written ${day(written)}, no date of its own` : `of ${day(date)}`
  return `${name} (${kind}, ${age}), sha256 ${sha256}`
}

/** The outdated feeds and catalog; a line each. */
export function describeStale({ feeds, catalog, scanned }: ScanResult): string[] {
  return [...feeds, ...(catalog ? [catalog] : [])].flatMap((source) => {
    const days = staleDays(source, scanned)
    if (days === undefined) return []
    return [`${source.name} was ${days} days old: it lacks newer vulnerabilities`]
  })
}

function day(date: string): string {
  return date.slice(0, 10)
}
