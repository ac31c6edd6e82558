import { err, say } from '../output.ts'
import type { BlockVolume } from '../storage/block.ts'
import { readStorageSections } from '../storage/registry.ts'
import { thinPool } from '../storage/thin-pool.ts'

type Row = Readonly<Record<string, string>>

const defaultFields = ['lv_name', 'vg_name', 'lv_attr', 'lv_size', 'pool_lv', 'origin', 'data_percent']

/** `lvs`, as far as one needs it to learn what thin volumes were made of. */
export async function lvs(argv: readonly string[]): Promise<number> {
  const { flags, values, words } = readArguments(argv)
  const unit = values.get('units') ?? 'h'
  const rows = readStorageSections()
    .filter(({ type }) => type === 'lvmthin')
    .flatMap(({ properties }) =>
      groupRows(properties.get('vgname') ?? '', properties.get('thinpool') ?? '', unit),
    )
    .filter(
      (row) => words.length === 0 || words.some((word) => names(row).includes(word.replace(/^\/dev\//, ''))),
    )
  const missing = words.find((word) => !rows.some((row) => names(row).includes(word.replace(/^\/dev\//, ''))))
  if (missing !== undefined) {
    const [group = '', volume] = missing.replace(/^\/dev\//, '').split('/')
    if (volume === undefined)
      err(`  Volume group "${group}" not found\n  Cannot process volume group ${group}\n`)
    else err(`  Failed to find logical volume "${group}/${volume}"\n`)
    return 5
  }
  const fields = (values.get('o') ?? values.get('options'))?.split(',') ?? defaultFields
  const shown = rows.map((row) => fields.map((field) => row[field] ?? ''))
  if (values.get('reportformat') === 'json') {
    const lv = rows.map((row) => Object.fromEntries(fields.map((field) => [field, row[field] ?? ''])))
    say(JSON.stringify({ report: [{ lv }], log: [] }, null, 2))
    return 0
  }
  const separator = values.get('separator')
  const table = flags.has('noheadings') ? shown : [fields.map(heading), ...shown]
  const widths = fields.map((_, at) => Math.max(...table.map((row) => row[at]?.length ?? 0)))
  for (const row of table) {
    const cells = separator === undefined ? row.map((cell, at) => cell.padEnd(widths[at] ?? 0)) : row
    say(`  ${cells.join(separator ?? ' ')}`)
  }
  return 0
}

function names({ vg_name, lv_name }: Row): string[] {
  return [vg_name ?? '', `${vg_name}/${lv_name}`]
}

function heading(field: string): string {
  const known: Row = {
    lv_name: 'LV',
    vg_name: 'VG',
    lv_attr: 'Attr',
    lv_size: 'LSize',
    pool_lv: 'Pool',
    origin: 'Origin',
  }
  return known[field] ?? field
}

function groupRows(group: string, pool: string, unit: string): Row[] {
  const volumes = thinPool(group).volumes()
  const thin = { lv_name: pool, vg_name: group, lv_attr: 'twi-aotz--', lv_size: sizeIn(96 * 1024 ** 3, unit) }
  return [
    { ...thin, pool_lv: '', origin: '', data_percent: '0.00' },
    ...volumes.map((volume) => volumeRow(volume, group, pool, unit)),
  ]
}

function volumeRow(
  { name, size, origin, used }: BlockVolume,
  group: string,
  pool: string,
  unit: string,
): Row {
  const base = name.startsWith('base-')
  return {
    lv_name: name,
    vg_name: group,
    lv_attr: base ? 'Vri---tz-k' : 'Vwi-a-tz--',
    pool_lv: pool,
    lv_size: sizeIn(size, unit),
    origin: origin ?? '',
    data_percent: ((used / size) * 100).toFixed(2),
  }
}

function sizeIn(bytes: number, unit: string): string {
  if (unit.toLowerCase() === 'b') return `${bytes}B`
  return bytes >= 1024 ** 3 ? `${(bytes / 1024 ** 3).toFixed(2)}g` : `${(bytes / 1024 ** 2).toFixed(2)}m`
}

/** Options with a value, options without, and the rest. */
function readArguments(argv: readonly string[]) {
  const flags = new Set<string>()
  const values = new Map<string, string>()
  const words: string[] = []
  const valued = ['o', 'options', 'separator', 'units', 'reportformat', 'S', 'select']
  for (let at = 0; at < argv.length; at++) {
    const [, name, , attached] = /^--?([a-zA-Z]+)(=(.*))?$/.exec(argv[at] ?? '') ?? []
    if (name === undefined) words.push(argv[at] ?? '')
    else if (attached !== undefined) values.set(name, attached)
    else if (valued.includes(name)) values.set(name, argv[++at] ?? '')
    else flags.add(name)
  }
  return { flags, values, words }
}
