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

// Text of a feed is always shown as code, so that it cannot contain links, mentions or markup.

/** The maximum number of rows; `seeder scan` lists all. A comment has a size limit, and a kernel has hundreds. */
const SHOWN = 20

/** The known vulnerabilities in Markdown. `against` names the older version. */
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
      : [`Not compared: no ${against} version with packages of this release.`]),
    ...actionable(known),
    ...(notScanned.length > 0 ? [`In no feed of this kind: ${notScanned.map(code).join(', ')}`] : []),
    `<sub>${sources.map((source) => code(describeDownload(source))).join('; ')}</sub>`,
  ].join('\n\n')
}

/** The same, for a cell of a table. */
export function describeShortly(known: Known): string {
  return known.isScanned ? plain(describeBriefly(known.now.counts)) : 'not scanned'
}

function compared({ before, gone, stayed, came }: VulnerabilityChanges, against: string): string {
  const line = `The ${against} version has ${before.total}: ${gone.length} gone, ${stayed.length} unchanged, ${came.length === 0 ? '0 new' : `**${came.length} new**`}.`
  return [line, ...section('New', came, true), ...section('Gone', gone)].join('\n\n')
}

/** The vulnerabilities to act on, without the new ones. */
function actionable({ now, changes }: Scanned): string[] {
  const shown = new Set(changes?.came.map(keyOf))
  const some = now.vulnerabilities.filter(
    (found) => (found.exploited || found.fixed !== null) && !shown.has(keyOf(found)),
  )
  return section('Exploited, or fixed by a newer package', some)
}

function section(title: string, some: readonly Vulnerability[], open = false): string[] {
  if (some.length === 0) return []
  const rows = some
    .slice(0, SHOWN)
    .map(({ id, source, version, fixed, urgency, exploited }) => [
      code(id),
      code(`${source} ${version}`),
      fixed === null ? '' : code(fixed),
      urgency === null ? '' : code(urgency),
      exploited ? '**exploited**' : '',
    ])
  const rest = some.length > SHOWN ? `\n\n…and ${some.length - SHOWN} more` : ''
  const text = table(['vulnerability', 'source package', 'fixed in', 'urgency', ''], rows) + rest
  return [open ? `${title}:\n\n${text}` : folded(`${title}: ${some.length}`, text)]
}
