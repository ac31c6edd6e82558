import { code, folded, plain, table } from '../report/markdown.ts'
import { type Known, keyOf, type Scanned, type VulnerabilityChanges } from './known.ts'
import type { Vulnerability } from './scan.ts'
import {
  describeBriefly,
  describeCounts,
  describeDownload,
  describeStale,
  describeUrgencies,
} from './summary.ts'

// Text of a feed only stands as code: nothing in it becomes a link, a mention, or markup.

/** Maximum that are named; `seeder scan` names all. A comment has a limit, and a kernel has hundreds. */
const SHOWN = 20

/** What is known, in Markdown. `against` says what the older one is. */
export function describeKnown(known: Known, against: string): string {
  if (!known.isScanned) return `Not scanned: ${plain(known.reason)}.`
  const { now, changes } = known
  const { counts, feeds, catalog, notScanned } = now
  const urgencies = describeUrgencies(counts, code)
  const sources = [...feeds, ...(catalog ? [catalog] : [])]
  return [
    `${plain(describeCounts(counts))}.${urgencies === '' ? '' : ` By urgency: ${urgencies}.`}`,
    ...describeStale(now).map((line) => `**Stale**: ${plain(line)}.`),
    ...(changes
      ? [compared(changes, against)]
      : [`Not compared: there is no ${against} version whose packages of this release are known.`]),
    ...worst(known),
    ...(notScanned.length > 0 ? [`In no feed of this kind: ${notScanned.map(code).join(', ')}`] : []),
    `<sub>${sources.map((one) => code(describeDownload(one))).join('; ')}</sub>`,
  ].join('\n\n')
}

/** The same, for a cell of a table. */
export function describeShortly(known: Known): string {
  return known.isScanned ? plain(describeBriefly(known.now.counts)) : 'not scanned'
}

function compared({ before, gone, stayed, came }: VulnerabilityChanges, against: string): string {
  const line = `The ${against} one has ${before.total}: ${gone.length} went away, ${stayed.length} stayed, ${came.length === 0 ? 'none came' : `**${came.length} came**`}.`
  return [line, ...section('Came', came, true), ...section('Went away', gone)].join('\n\n')
}

/** Those that somebody should do something about, beside those that came. */
function worst({ now, changes }: Scanned): string[] {
  const shown = new Set(changes?.came.map(keyOf))
  const some = now.vulnerabilities.filter(
    (one) => (one.exploited || one.fixed !== null) && !shown.has(keyOf(one)),
  )
  return section('Exploited, or fixed by a newer package', some)
}

function section(title: string, some: readonly Vulnerability[], open = false): string[] {
  if (some.length === 0) return []
  const rows = some
    .slice(0, SHOWN)
    .map((one) => [
      code(one.id),
      code(`${one.source} ${one.version}`),
      one.fixed === null ? '' : code(one.fixed),
      one.urgency === null ? '' : code(one.urgency),
      one.exploited ? '**exploited**' : '',
    ])
  const rest = some.length > SHOWN ? `\n\n…and ${some.length - SHOWN} more` : ''
  const text = table(['vulnerability', 'source package', 'fixed in', 'urgency', ''], rows) + rest
  return [open ? `${title}:\n\n${text}` : folded(`${title}: ${some.length}`, text)]
}
