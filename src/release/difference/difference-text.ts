import { formatBytes, formatDuration, formatTable } from '../../report/table.ts'
import type { Change, Difference } from './difference.ts'

/** Maximum lines of a list; `--json` has all of them. */
const SHOWN = 30

/** A difference for a terminal. */
export function differenceText(difference: Difference): string {
  const { before, after, identical, sizes, boot, checks, files } = difference
  if (identical) return `${before} and ${after} have the same disk, bit for bit.`
  const rows = [
    ['qcow2', ...amounts(sizes.qcow2, formatBytes)],
    ['disk', ...amounts(sizes.disk, formatBytes)],
    ['/usr', ...amounts(sizes.usr, formatBytes)],
    ...(boot ? [['first boot', ...amounts(boot, formatDuration)]] : []),
    ...(checks ? [['checks passed', `${checks.before.passed}`, `${checks.after.passed}`, '']] : []),
    ...(files?.folders.slice(0, 10).map(({ path, ...size }) => [path, ...amounts(size, formatBytes)]) ?? []),
  ]
  return [formatTable(['', before, after, ''], rows), ...sectionsOf(difference)].join('\n\n')
}

function sectionsOf({ added, removed, changed, commandLine, ports, files, checks }: Difference): string[] {
  const units = files?.units
  return [
    ...list(
      'packages changed',
      changed.map(({ name, before, after }) => `${name} ${before} -> ${after}`),
      Number.POSITIVE_INFINITY,
    ),
    ...list(
      'packages added',
      added.map(({ name, version }) => `${name} ${version}`),
      Number.POSITIVE_INFINITY,
    ),
    ...list(
      'packages removed',
      removed.map(({ name, version }) => `${name} ${version}`),
      Number.POSITIVE_INFINITY,
    ),
    ...(commandLine ? [`kernel command line\n  ${commandLine.before}\n  ${commandLine.after}`] : []),
    ...list('ports opened', ports.opened),
    ...list('ports closed', ports.closed),
    ...list('units enabled', units?.enabled ?? []),
    ...list('units not enabled any more', units?.disabled ?? []),
    ...list('units masked', units?.masked ?? []),
    ...list('units not masked any more', units?.unmasked ?? []),
    ...list('checks that do not pass any more', checks?.broken ?? []),
    ...list('checks that pass now', checks?.mended ?? []),
    ...list('checks added', checks?.added ?? []),
    ...list('checks that are gone', checks?.removed ?? []),
    ...(files
      ? [
          ...list(
            'files changed',
            files.changed.map(({ path, what }) => `${path} (${what.join(', ')})`),
          ),
          ...list('files added', files.added),
          ...list('files removed', files.removed),
        ]
      : ['files: not compared, as one of the two has no list of them']),
  ]
}

function list(title: string, lines: readonly string[], most = SHOWN): string[] {
  if (lines.length === 0) return []
  const rest = lines.length > most ? [`…and ${lines.length - most} more`] : []
  return [
    [`${title}: ${lines.length}`, ...[...lines.slice(0, most), ...rest].map((line) => `  ${line}`)].join(
      '\n',
    ),
  ]
}

function amounts({ before, after }: Change, format: (amount: number) => string): string[] {
  const percent = before === 0 ? 0 : Math.round(((after - before) / before) * 1000) / 10
  return [format(before), format(after), percent === 0 ? '' : `${percent > 0 ? '+' : ''}${percent} %`]
}
