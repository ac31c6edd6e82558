import type { Manifest } from '../build/manifest.ts'
import type { Difference } from '../release/difference/difference.ts'
import { describeDifference, describeTally } from '../release/difference/difference-markdown.ts'
import { type TestRecord, tallyOf } from '../release/format/test-report.ts'
import { code, folded, plain, table } from '../report/markdown.ts'
import { formatBytes, formatDuration } from '../report/table.ts'
import type { Known } from '../scan/known.ts'
import { describeKnown } from '../scan/known-markdown.ts'
import { drawProgress, type ImageProgress } from './progress-diagram.ts'

/** What a command did with a version of an image. Parts that are undefined are left out. */
export interface VersionSummary {
  readonly image: string
  readonly version: string
  readonly progress: ImageProgress
  readonly manifest?: Manifest | undefined
  readonly record?: TestRecord | undefined
  /** From the promoted version. */
  readonly difference?: Difference | undefined
  readonly vulnerabilities?: Known | undefined
  /** Title → URL. */
  readonly links?: Readonly<Record<string, string>>
  /** Sentences below the diagram. */
  readonly remarks?: readonly string[]
}

/** The job summary of a step, in Markdown. */
export function formatSummary(summary: VersionSummary): string {
  const { image, version, progress, manifest, record, difference, vulnerabilities } = summary
  const { links = {}, remarks = [] } = summary
  const sections = [
    `## ${plain(image)} ${plain(version)}`,
    drawProgress(progress),
    ...remarks.map(plain),
    ...Object.entries(links).map(([title, url]) => `[${plain(title)}](${encodeURI(url)})`),
    ...(manifest ? [describeManifest(manifest)] : []),
    ...(record ? [describeTest(record)] : []),
    ...(difference ? [`### Changes\n\n${describeDifference(difference, 'promoted')}`] : []),
    ...(vulnerabilities
      ? [`### Known vulnerabilities\n\n${describeKnown(vulnerabilities, 'promoted')}`]
      : []),
    ...(manifest ? [describeTimings(manifest)] : []),
  ]
  return `${sections.join('\n\n')}\n`
}

function describeManifest(manifest: Manifest): string {
  const { qcow2, raw, usr, kernel, lock, source, packages } = manifest
  const commit = source.commit === null ? 'no git checkout' : code(source.commit)
  return table(
    ['what', 'size', 'digest or version'],
    [
      [code(qcow2.file), formatBytes(qcow2.size), code(qcow2.sha256)],
      ['disk: the image’s identity', formatBytes(raw.size), code(raw.sha256)],
      ['`/usr`, its root hash', formatBytes(usr.size), code(usr.roothash)],
      ['lock', `${Object.keys(packages).length} packages`, code(lock.sha256)],
      ['kernel', '', code(kernel.version)],
      ['source', source.dirty ? 'with changes' : '', commit],
    ],
  )
}

function describeTest(record: TestRecord): string {
  const { checks, accelerator, duration, boot } = record
  const failures = checks.filter(({ status }) => status === 'failed')
  const verdict = record.passed ? 'The boot test passed' : '**The boot test failed**'
  const machine = accelerator.kind === 'kvm' ? 'with KVM' : 'emulated'
  const ready = boot.readyMs === null ? '' : `; first boot done after ${formatDuration(boot.readyMs)}`
  const marks = { passed: '✓', failed: '✗', skipped: '–' } as const
  const all = checks.map(({ name, title, status }) => [marks[status], code(name), plain(title)])
  return [
    `${verdict}: ${describeTally(tallyOf(record))}, in ${formatDuration(duration)}, ${machine}${ready}.`,
    ...(failures.length > 0
      ? [
          table(
            ['failed', 'found'],
            failures.map(({ name, detail }) => [code(name), plain(detail)]),
          ),
        ]
      : []),
    folded(`All ${checks.length} checks`, table(['', 'check', 'description'], all)),
  ].join('\n\n')
}

function describeTimings({ timings, made }: Manifest): string {
  const rows = Object.entries(timings).map(([phase, ms]) => [plain(phase), formatDuration(ms)])
  const total = Object.values(timings).reduce((sum, ms) => sum + ms, 0)
  const layers =
    made.length === 0 ? 'every layer from the cache' : `layers made: ${made.map(code).join(', ')}`
  return folded(`Built in ${formatDuration(total)}`, `${table(['phase', 'time'], rows)}\n\n${layers}`)
}
