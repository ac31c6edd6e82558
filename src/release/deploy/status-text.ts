import { formatTable } from '../../report/table.ts'
import type { StatusRow } from './status.ts'

const header = ['image', 'candidate', 'promoted', 'host', 'deployed', 'clones', 'behind']

/** The table for a terminal. */
export function statusText(rows: readonly StatusRow[]): string {
  return rows.length === 0 ? NOTHING : formatTable(header, rows.map(cellsOf))
}

/** The table for a job summary. */
export function statusMarkdown(rows: readonly StatusRow[]): string {
  if (rows.length === 0) return NOTHING
  const line = (cells: readonly string[]) => `| ${cells.map(escaped).join(' | ')} |`
  return [line(header), line(header.map(() => '---')), ...rows.map((row) => line(cellsOf(row)))].join('\n')
}

const NOTHING = 'Nothing is published, and nothing is deployed.'

function cellsOf(row: StatusRow): string[] {
  const { image, candidate, promoted, host, deployed, clones } = row
  return [
    image,
    candidate ?? '-',
    promoted ?? '-',
    host ?? '-',
    deployed ? `${deployed.version} (${deployed.vmid})` : '-',
    clones.length === 0
      ? '-'
      : clones.map(({ version, names }) => `${version}: ${names.join(' ')}`).join('; '),
    behindText(row),
  ]
}

function behindText({ host, deployed, promoted, behind }: StatusRow): string {
  if (behind === null) return host !== null && promoted !== null && deployed === null ? 'not deployed' : '-'
  const { by, ahead } = behind
  if (by.length === 0) return 'no'
  const versions = by.length === 1 ? '1 version' : `${by.length} versions`
  return ahead ? `ahead by ${versions}` : `${versions} (${by.join(', ')})`
}

function escaped(cell: string): string {
  return cell.replaceAll('|', '\\|')
}
