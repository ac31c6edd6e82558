import { oneLine } from './printable.ts'

/**
 * A plain text table: columns padded to their widest cell, two spaces between, a rule under the header. A line break in
 * a cell stands there as `\n`, so that no cell passes for a row.
 */
export function formatTable(titles: readonly string[], cells: readonly (readonly string[])[]): string {
  const [header = [], ...rows] = [titles, ...cells].map((row) => row.map(oneLine))
  const widths = header.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => (row[column] ?? '').length)),
  )
  const line = (row: readonly string[]) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd()
  return [line(header), widths.map((width) => '-'.repeat(width)).join('  '), ...rows.map(line)].join('\n')
}

/** Bytes for people: 123 MB, 1.4 GB (powers of ten, as disk and package sizes are given). */
export function formatBytes(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB']
  let value = bytes
  let unit = 0
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000
    unit++
  }
  return `${value < 10 && unit > 0 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`
}

/** Milliseconds for people: 0.4 s, 12.3 s, 2 min 05 s. */
export function formatDuration(ms: number): string {
  if (ms < 59_950) return `${(ms / 1000).toFixed(1)} s`
  const seconds = Math.round(ms / 1000)
  return `${Math.floor(seconds / 60)} min ${String(seconds % 60).padStart(2, '0')} s`
}
