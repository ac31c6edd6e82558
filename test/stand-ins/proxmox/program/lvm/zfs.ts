import { err, say } from '../output.ts'
import { readStorageSections } from '../storage/registry.ts'
import { zfsPool } from '../storage/zfs.ts'

type Row = Readonly<Record<string, string>>

/** `zfs list` and `zfs get`, as far as one needs them to learn what volumes were cloned from. */
export async function zfs([verb = '', ...argv]: readonly string[]): Promise<number> {
  const options = new Map<string, string>()
  const words: string[] = []
  for (let at = 0; at < argv.length; at++) {
    const word = argv[at] ?? ''
    if (/^-[otd]$/.test(word)) options.set(word, argv[++at] ?? '')
    else if (word.startsWith('-')) options.set(word, '')
    else words.push(word)
  }
  if (verb === 'list') return list(options, words)
  if (verb === 'get') return get(options, words)
  err(`unrecognized command '${verb}'\n`)
  return 2
}

function list(options: ReadonlyMap<string, string>, words: readonly string[]): number {
  const fields = (options.get('-o') ?? 'name,used,avail,refer,mountpoint').split(',')
  const kinds = options.get('-t')?.split(',')
  const chosen = rows().filter(({ name = '', type = '' }) => {
    if (kinds !== undefined && !kinds.includes('all') && !kinds.includes(type)) return false
    return (
      words.length === 0 ||
      words.some((word) => name === word || (options.has('-r') && name.startsWith(`${word}/`)))
    )
  })
  const missing = words.find((word) => !rows().some(({ name }) => name === word))
  if (missing !== undefined) return complain(missing)
  if (!options.has('-H')) say(fields.map((field) => field.toUpperCase()).join('\t'))
  for (const row of chosen) say(fields.map((field) => row[field] ?? '-').join('\t'))
  return 0
}

function get(options: ReadonlyMap<string, string>, words: readonly string[]): number {
  const [properties = '', ...datasets] = words
  const fields = (options.get('-o') ?? 'name,property,value,source').split(',')
  for (const dataset of datasets) {
    const row = rows().find(({ name }) => name === dataset)
    if (row === undefined) return complain(dataset)
    for (const property of properties.split(',')) {
      const cells: Row = { name: dataset, property, value: row[property] ?? '-', source: '-' }
      say(fields.map((field) => cells[field] ?? '-').join('\t'))
    }
  }
  return 0
}

function complain(dataset: string): number {
  err(`cannot open '${dataset}': dataset does not exist\n`)
  return 1
}

function rows(): Row[] {
  return readStorageSections()
    .filter(({ type }) => type === 'zfspool')
    .flatMap(({ properties }) => {
      const dataset = properties.get('pool') ?? ''
      const volumes = zfsPool(dataset)
        .volumes()
        .map(({ name, size, used, origin }) => ({
          name: `${dataset}/${name}`,
          type: name.includes('@') ? 'snapshot' : 'volume',
          volsize: String(size),
          used: String(used),
          origin: origin === undefined ? '-' : `${dataset}/${origin}@__base__`,
        }))
      return [{ name: dataset, type: 'filesystem' }, ...volumes]
    })
}
