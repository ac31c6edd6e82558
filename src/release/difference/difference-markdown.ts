import { code, folded, plain, table } from '../../report/markdown.ts'
import { formatBytes, formatDuration } from '../../report/table.ts'
import type { Tally } from '../format/test-report.ts'
import type { Change, Difference } from './difference.ts'
import type { FilesDifference } from './files-difference.ts'

// Maximum packages that are not collapsed, and that are listed.
const SHOWN_OPEN = 10
const SHOWN = 200

/** A difference in Markdown: a table of numbers, then the packages. `against` describes the older version. */
export function describeDifference(difference: Difference, against: string): string {
  const { before, after, identical, sizes, boot, checks } = difference
  if (identical) return `The disk is the same, bit for bit, as ${against} ${code(before)}.`
  const rows = [
    ['qcow2', ...amounts(sizes.qcow2, formatBytes)],
    ['disk', ...amounts(sizes.disk, formatBytes)],
    ['`/usr`', ...amounts(sizes.usr, formatBytes)],
    ...(boot ? [['first boot', ...amounts(boot, formatDuration)]] : []),
    ...(checks ? [['checks', describeTally(checks.before), describeTally(checks.after), '']] : []),
  ]
  return [
    table(['', `${against} ${code(before)}`, code(after), ''], rows),
    ...(checks ? checkLines(checks) : []),
    packages(difference),
    ...facts(difference),
    ...(difference.files ? [filesText(difference.files)] : []),
  ].join('\n\n')
}

/** `12 passed`, and the failed and the skipped checks if there are any. */
export function describeTally({ passed, failed, skipped }: Tally): string {
  return [
    `${passed} passed`,
    ...(failed > 0 ? [`**${failed} failed**`] : []),
    ...(skipped > 0 ? [`${skipped} skipped`] : []),
  ].join(', ')
}

function amounts({ before, after }: Change, format: (amount: number) => string): string[] {
  const percent = before === 0 ? 0 : Math.round(((after - before) / before) * 1000) / 10
  return [
    format(before),
    format(after),
    percent === 0 ? 'the same' : `${percent > 0 ? '+' : '−'}${Math.abs(percent)} %`,
  ]
}

function checkLines({ broken, mended, added, removed }: NonNullable<Difference['checks']>): string[] {
  const line = (what: string, names: readonly string[]) =>
    names.length === 0 ? [] : [`${what}: ${names.map(code).join(', ')}`]
  return [
    ...line('**No longer passing**', broken),
    ...line('Passing now', mended),
    ...line('New checks', added),
    ...line('Checks that are gone', removed),
  ]
}

/** Changes that matter most to an operator: the command line, ports, units. */
function facts({ commandLine, ports, files }: Difference): string[] {
  const line = (what: string, names: readonly string[]) =>
    names.length === 0 ? [] : [`${what}: ${names.map(code).join(', ')}`]
  return [
    ...(commandLine ? [`Kernel command line: ${code(commandLine.before)} → ${code(commandLine.after)}`] : []),
    ...line('**Ports opened**', ports.opened),
    ...line('Ports closed', ports.closed),
    ...line('Units enabled', files?.units.enabled ?? []),
    ...line('Units not enabled any more', files?.units.disabled ?? []),
    ...line('Units masked', files?.units.masked ?? []),
    ...line('Units not masked any more', files?.units.unmasked ?? []),
  ]
}

// Maximum folders, those with the largest changes.
const SHOWN_FOLDERS = 10

function filesText({ added, removed, changed, folders }: FilesDifference): string {
  const total = added.length + removed.length + changed.length
  if (total === 0) return 'The files are the same.'
  const lines = [
    ...changed.map(({ path, what }) => `changed ${path} (${what.join(', ')})`),
    ...added.map((path) => `added ${path}`),
    ...removed.map((path) => `removed ${path}`),
  ]
  const rows = folders
    .slice(0, SHOWN_FOLDERS)
    .map(({ path, ...sizes }) => [code(path), ...amounts(sizes, formatBytes)])
  const rest = lines.length > SHOWN ? `\n…and ${lines.length - SHOWN} more` : ''
  const body = [
    ...(rows.length > 0 ? [table(['folder', 'before', 'now', ''], rows)] : []),
    `\`\`\`text\n${lines
      .slice(0, SHOWN)
      .map((line) => line.replaceAll('`', ''))
      .join('\n')}${rest}\n\`\`\``,
  ].join('\n\n')
  const title = [`${changed.length} changed`, `${added.length} added`, `${removed.length} removed`].join(', ')
  return folded(`Files: ${title}`, body)
}

function packages({ added, removed, changed }: Difference): string {
  const rows = [
    ...changed.map(({ name, before, after }) => [plain(name), code(before), code(after)]),
    ...added.map(({ name, version }) => [plain(name), '', code(version)]),
    ...removed.map(({ name, version }) => [plain(name), code(version), '']),
  ]
  if (rows.length === 0) return 'The packages are the same.'
  const counts = [
    [changed.length, 'changed'],
    [added.length, 'added'],
    [removed.length, 'removed'],
  ] as const
  const title = `Packages: ${counts.flatMap(([count, what]) => (count > 0 ? [`${count} ${what}`] : [])).join(', ')}`
  const text = table(['package', 'before', 'now'], rows.slice(0, SHOWN))
  const rest = rows.length > SHOWN ? `\n\n…and ${rows.length - SHOWN} more` : ''
  return rows.length > SHOWN_OPEN ? folded(title, text + rest) : `${title}\n\n${text}`
}
