import { formatTable } from '../report/table.ts'
import type { Known, VulnerabilityChanges } from './known.ts'
import type { ScanResult, Vulnerability } from './scan.ts'
import { describeCounts, describeDownload, describeStale, describeUrgencies } from './summary.ts'

/** The maximum number of each kind; `--json` has all of them. */
const SHOWN = 30

/** All known vulnerabilities of an image, for a terminal. */
export function scanText(name: string, result: ScanResult): string {
  const { vulnerabilities } = result
  return [
    ...(vulnerabilities.length === 0 ? [] : [vulnerabilityTable(vulnerabilities), '']),
    ...footOf(name, result),
  ].join('\n')
}

/** The known vulnerabilities of two versions, for a terminal. */
export function knownText(known: Known, before: string, after: string): string {
  if (!known.isScanned) return `known vulnerabilities: not scanned: ${known.reason}`
  const { changes, now } = known
  return [
    ...(changes
      ? changesText(changes, before)
      : [`known vulnerabilities: not compared: the packages of ${before} from this release are unknown`]),
    footOf(after, now).join('\n'),
  ].join('\n\n')
}

function changesText({ before, gone, stayed, came }: VulnerabilityChanges, name: string): string[] {
  return [
    `known vulnerabilities of ${name}: ${before.total}; ${gone.length} gone, ${stayed.length} unchanged, ${came.length} new`,
    ...section('new vulnerabilities', came),
    ...section('vulnerabilities that are gone', gone),
    ...section('unchanged vulnerabilities', stayed),
  ]
}

function section(title: string, some: readonly Vulnerability[]): string[] {
  if (some.length === 0) return []
  const rest = some.length > SHOWN ? `\n…and ${some.length - SHOWN} more` : ''
  return [`${title}: ${some.length}\n${vulnerabilityTable(some.slice(0, SHOWN))}${rest}`]
}

function vulnerabilityTable(some: readonly Vulnerability[]): string {
  return formatTable(
    ['vulnerability', 'source package', 'fixed in', 'urgency', ''],
    some.map(({ id, source, version, fixed, urgency, exploited }) => [
      id,
      `${source} ${version}`,
      fixed ?? '',
      urgency ?? '',
      exploited ? 'exploited' : '',
    ]),
  )
}

function footOf(name: string, result: ScanResult): string[] {
  const { counts, notScanned, feeds, catalog } = result
  const urgencies = describeUrgencies(counts)
  return [
    `${name}: ${describeCounts(counts)}`,
    ...(urgencies === '' ? [] : [`by urgency: ${urgencies}`]),
    ...(notScanned.length > 0 ? [`in no feed of this kind: ${notScanned.join(', ')}`] : []),
    ...[...feeds, ...(catalog ? [catalog] : [])].map(describeDownload),
    ...describeStale(result).map((line) => `stale: ${line}`),
  ]
}
