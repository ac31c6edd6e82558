import { writeClusterFile } from '../cluster.ts'
import { parseSize } from '../drives.ts'
import { PveError } from '../failure.ts'
import type { Call } from '../getopt.ts'
import { formatOfName } from '../image-file.ts'
import { err, say } from '../output.ts'
import {
  activate,
  isGone,
  placeOf,
  readStorageSections,
  type StorageSection,
  storageNamed,
  storages,
} from '../storage/registry.ts'
import type { StorageStatus } from '../storage/storage.ts'

/** `pvesm path`. */
export async function path({ values }: Call): Promise<void> {
  const { storage, volume } = placeOf(values.get('volume') ?? '')
  say(storage.path(volume))
}

/** `pvesm status`. */
export async function status({ values }: Call): Promise<void> {
  const content = values.get('content')
  const only = values.get('storage')
  if (only !== undefined) storageNamed(only)
  const shown = storages()
    .filter((one) => only === undefined || one.name === only)
    .filter((one) => content === undefined || content.split(',').every((kind) => one.content.includes(kind)))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
  const width = Math.max(...shown.map(({ name }) => name.length), 4) + 1
  const row = (cells: readonly string[]) => {
    const [name = '', type = '', state = '', total = '', used = '', available = '', share = ''] = cells
    say(
      `${name.padEnd(width)} ${[type, state].map((one) => one.padStart(10)).join(' ')} ${[total, used, available].map((one) => one.padStart(15)).join(' ')} ${share.padStart(8)}`,
    )
  }
  row(['Name', 'Type', 'Status', 'Total (KiB)', 'Used (KiB)', 'Available (KiB)', '%'])
  for (const storage of shown) {
    const gone = isGone(storage)
    const none: StorageStatus = { total: 0, used: 0, available: 0 }
    const { total, used, available } = gone ? none : activate(storage).status()
    row([
      storage.name,
      storage.type,
      gone ? 'inactive' : 'active',
      ...[total, used, available].map((bytes) => String(Math.floor(bytes / 1024))),
      total === 0 ? '0.00%' : `${((used / total) * 100).toFixed(2)}%`,
    ])
  }
}

/** `pvesm list`. */
export async function list({ values }: Call): Promise<void> {
  const storage = activate(storageNamed(values.get('storage') ?? ''))
  const content = values.get('content')
  const vmid = values.get('vmid')
  const shown = storage
    .list()
    .filter((one) => content === undefined || content.split(',').includes(one.content))
    // What belongs to no VM is listed for every one of them.
    .filter((one) => vmid === undefined || one.vmid === undefined || one.vmid === Number(vmid))
  const volidWidth = Math.max(...shown.map(({ volid }) => volid.length), 5)
  const sizeWidth = Math.max(...shown.map(({ size }) => String(size).length), 4)
  const row = (volid: string, format: string, kind: string, size: string, owner: string) => {
    const line = `${volid.padEnd(volidWidth)} ${format.padEnd(7)} ${kind.padEnd(9)} ${size.padStart(sizeWidth)}`
    say(owner === '' ? line : `${line} ${owner}`)
  }
  row('Volid', 'Format', 'Type', 'Size', 'VMID')
  for (const one of shown) {
    row(one.volid, one.format, one.content, String(one.size), one.vmid === undefined ? '' : String(one.vmid))
  }
}

/** `pvesm alloc`. */
export async function alloc({ values }: Call): Promise<void> {
  const storage = activate(storageNamed(values.get('storage') ?? ''))
  const filename = values.get('filename') ?? ''
  const format =
    formatOfName(`.${values.get('format') ?? ''}`) ?? formatOfName(filename) ?? storage.formats[0]
  const size = values.get('size') ?? ''
  // A number alone is KiB here.
  const bytes = /^\d+$/.test(size) ? Number(size) * 1024 : parseSize(size)
  const name = filename === '' ? undefined : filename
  const volume = await storage.allocate(Number(values.get('vmid')), format, bytes, name)
  say(`successfully created '${storage.name}:${volume}'`)
}

/** `pvesm free`. */
export async function free({ values }: Call): Promise<void> {
  const volid = values.get('volume') ?? ''
  const { storage, volume } = placeOf(volid)
  activate(storage)
  if (!storage.exists(volume)) throw new PveError(`volume '${volid}' does not exist`)
  await storage.free(volume)
  say(`Removed volume '${volid}'`)
}

/** `pvesm add`. */
export async function add({ values }: Call): Promise<void> {
  const name = values.get('storage') ?? ''
  if (values.has('mkdir')) {
    err(
      `NOTE: The 'mkdir' option set for '${name}' is deprecated and will be removed in Proxmox VE 9. Use 'create-base-path' or 'create-subdirs' instead.\n`,
    )
  }
  const sections = readStorageSections()
  if (sections.some((one) => one.name === name))
    throw new PveError(`create storage failed: storage ID '${name}' already defined`)
  const properties = new Map([...values].filter(([key]) => key !== 'storage' && key !== 'type'))
  writeSections([...sections, { name, type: values.get('type') ?? '', properties }])
  activate(storageNamed(name))
}

/** `pvesm set`. */
export async function set({ values }: Call): Promise<void> {
  const name = values.get('storage') ?? ''
  storageNamed(name)
  const sections = readStorageSections()
  const properties = sections.find((one) => one.name === name)?.properties
  const dropped = (values.get('delete') ?? '').split(',')
  for (const key of dropped) properties?.delete(key)
  for (const [key, value] of values) {
    if (!['storage', 'delete', 'digest'].includes(key)) properties?.set(key, value)
  }
  writeSections(sections)
}

/** `pvesm remove`. */
export async function remove({ values }: Call): Promise<void> {
  const name = values.get('storage') ?? ''
  storageNamed(name)
  writeSections(readStorageSections().filter((one) => one.name !== name))
}

function writeSections(sections: readonly StorageSection[]): void {
  const texts = sections.map(
    ({ type, name, properties }) =>
      `${type}: ${name}\n${[...properties].map(([key, value]) => `\t${key} ${value}\n`).join('')}`,
  )
  writeClusterFile('storage.cfg', texts.join('\n'))
}
