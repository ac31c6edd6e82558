import { type Download, staleDays } from './download.ts'
import type { Feed } from './feed.ts'
import type { Counts, ScanResult } from './scan.ts'

/** What is known, in words without any markup; who shows it sees to that. */

/** `12 known vulnerabilities, 3 fixed by a newer package, 1 exploited; 2 more are not examined yet`. */
export function describeCounts({ total, fixable, exploited, undetermined }: Counts): string {
  const open = undetermined > 0 ? `; ${undetermined} more are not examined yet` : ''
  return `${total} known vulnerabilities, ${fixable} fixed by a newer package, ${describeExploited(exploited)}${open}`
}

/** The same, for a cell of a table. */
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

// Distributions have five or six. What has more is not about urgency.
const MOST_URGENCIES = 10

/** `2 high, 5 not yet assigned`; empty when no feed has urgencies. `mark` makes a name what may stand where it is shown. */
export function describeUrgencies({ urgency }: Counts, mark = (name: string) => name): string {
  return Object.entries(urgency)
    .slice(0, MOST_URGENCIES)
    .map(([name, count]) => `${count} ${mark(name)}`)
    .join(', ')
}

/** A feed or catalog, with what distinguishes it from another one. */
export function describeDownload(one: Download | Feed): string {
  const kind = 'kind' in one ? `${one.kind}, ${one.entries} entries for this release` : 'exploited ones'
  const date = one.date === null ? `written ${day(one.written)}, no date of its own` : `of ${day(one.date)}`
  return `${one.name} (${kind}, ${date}), sha256 ${one.sha256}`
}

/** What is too old to be complete, a line each. */
export function describeStale({ feeds, catalog, scanned }: ScanResult): string[] {
  return [...feeds, ...(catalog ? [catalog] : [])].flatMap((one) => {
    const days = staleDays(one, scanned)
    if (days === undefined) return []
    return [`${one.name} was ${days} days old: what was found since is not in it`]
  })
}

function day(date: string): string {
  return date.slice(0, 10)
}
