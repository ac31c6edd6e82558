import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { z } from 'zod'
import type { Enclosure } from '../../../src/build/enclosure.ts'
import { runInside } from '../../../src/build/namespace.ts'
import { parseJson } from '../../../src/files/json.ts'

/** One way in which two disks differ: in which partition, and where in it. */
export interface DiskDifference {
  /** `esp`, `usr`, `verity`, `root`, or `partition table`. */
  readonly partition: string
  /** The first file of the partition that differs, as a path in its file system; none where there are no files. */
  readonly file: string | undefined
  /** What of it differs. */
  readonly what: string
}

/** A partition in sfdisk's JSON. `start` and `size` are sectors of 512 bytes. */
interface Placed {
  readonly name: string
  readonly start: number
  readonly size: number
}

const SECTOR = 512

const tableSchema = z.object({
  partitiontable: z.object({
    partitions: z.array(z.object({ name: z.string(), start: z.int(), size: z.int() })),
  }),
})

/**
 * Compares two raw disks and says, for each partition that differs, in which file first (by path). Empty when the
 * disks are the same. `tools` is the folder of a tools tree; `scratch` an empty folder for the extracted files.
 */
export async function compareDisks(
  first: string,
  second: string,
  tools: string,
  scratch: string,
): Promise<DiskDifference[]> {
  const enclosure = {
    tools,
    binds: [
      { from: first, to: '/first.raw' },
      { from: second, to: '/second.raw' },
      { from: scratch, to: '/scratch', writable: true },
    ],
  }
  const [a, b] = [await readTable(enclosure, '/first.raw'), await readTable(enclosure, '/second.raw')]
  const found: DiskDifference[] = []
  for (const [index, before] of a.entries()) {
    const after = b[index]
    if (after === undefined) break
    if ((await digestOf(first, before)) === (await digestOf(second, after))) continue
    const partition = before.name.replace(/-.*/, '')
    const files = [
      await listFiles(enclosure, '/first.raw', partition, before),
      await listFiles(enclosure, '/second.raw', partition, after),
    ] as const
    found.push({ partition, ...firstDifference(...files) })
  }
  if (JSON.stringify(a) !== JSON.stringify(b)) {
    found.push({ partition: 'partition table', file: undefined, what: 'names, places or sizes' })
  }
  return found
}

/** The differences as text, a line each. */
export function describeDifferences(differences: readonly DiskDifference[]): string {
  return differences
    .map(({ partition, file, what }) => `${partition}: ${file === undefined ? what : `${file}: ${what}`}`)
    .join('\n')
}

/** A file system's files: path → its properties, in the order of `find -printf` below, and its digest. */
export type Listing = ReadonlyMap<string, readonly string[]>

const PROPERTIES = ['kind', 'mode', 'owner', 'time', 'size', 'link target', 'content']

/** The first path, sorted, at which two listings differ, and what of it does. */
export function firstDifference(before: Listing, after: Listing): { file: string | undefined; what: string } {
  for (const file of [...new Set([...before.keys(), ...after.keys()])].sort()) {
    const [was, is] = [before.get(file), after.get(file)]
    if (was === undefined || is === undefined) {
      return { file, what: `only in the ${was ? 'first' : 'second'}` }
    }
    const what = PROPERTIES.filter((_property, index) => was[index] !== is[index])
    if (what.length > 0) return { file, what: what.join(', ') }
  }
  return { file: undefined, what: 'not in a file: the layout of the data' }
}

/**
 * Reads the files of a raw disk out of its file systems, by partition (`esp`, `usr`, `root`), as somebody would who knows
 * nothing of how it was made. `tools` is the folder of a tools tree; `scratch` an empty folder for the extracted files.
 */
export async function readDisk(disk: string, tools: string, scratch: string): Promise<Map<string, Listing>> {
  const binds = [
    { from: disk, to: '/disk.raw' },
    { from: scratch, to: '/scratch', writable: true },
  ]
  const found = new Map<string, Listing>()
  for (const placed of await readTable({ tools, binds }, '/disk.raw')) {
    const partition = placed.name.replace(/-.*/, '')
    if (extraction('', partition, 0) === undefined) continue
    found.set(partition, await listFiles({ tools, binds }, '/disk.raw', partition, placed))
  }
  return found
}

async function readTable(enclosure: Enclosure, disk: string): Promise<Placed[]> {
  const json = await runInside(enclosure, 'Reading a partition table', `sfdisk --json ${disk}`)
  return parseJson(json, tableSchema).partitiontable.partitions
}

async function digestOf(disk: string, { start, size }: Placed): Promise<string> {
  const range = { start: start * SECTOR, end: (start + size) * SECTOR - 1, highWaterMark: 1 << 20 }
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(disk, range)) hash.update(chunk)
  return hash.digest('hex')
}

/** How the files of a partition get into the current folder; a hash tree has none. */
function extraction(disk: string, partition: string, offset: number): string | undefined {
  switch (partition) {
    case 'esp':
      return `mcopy -s -Q -m -i ${disk}@@${offset} '::*' .`
    case 'usr':
      return `fsck.erofs --extract=. --overwrite --preserve --offset=${offset} ${disk} > /dev/null`
    case 'root':
      return `debugfs -R 'rdump / .' '${disk}?offset=${offset}' 2> /dev/null`
    default:
      return undefined
  }
}

async function listFiles(
  enclosure: Enclosure,
  disk: string,
  partition: string,
  { start }: Placed,
): Promise<Listing> {
  const extract = extraction(disk, partition, start * SECTOR)
  if (extract === undefined) return new Map()
  const script = [
    'rm -rf /scratch/files && mkdir /scratch/files && cd /scratch/files',
    extract,
    // What is no file has neither time nor size here: they are the extraction's own.
    `find . -mindepth 1 ! -type f -printf '%P\\t%y\\t%m\\t%U:%G\\t\\t\\t%l\\n'`,
    `find . -type f -printf '%P\\t%y\\t%m\\t%U:%G\\t%T@\\t%s\\t%l\\n'`,
    `find . -type f -print0 | xargs -0 -r sha256sum -z | sed -z 's/^\\([0-9a-f]*\\)  \\.\\/\\(.*\\)/\\2\\t\\1\\n/' | tr -d '\\0'`,
  ].join('\n')
  const listing = new Map<string, readonly string[]>()
  for (const line of (await runInside(enclosure, `Reading the files of ${partition}`, script)).split('\n')) {
    const [path, ...properties] = line.split('\t')
    if (path) listing.set(`/${path}`, [...(listing.get(`/${path}`) ?? []), ...properties])
  }
  return listing
}
