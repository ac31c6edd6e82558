import { posix } from 'node:path'
import type { FileEntry } from './inventory.ts'
import { makerOf } from './made-files.ts'

/** The known owners of files in an image. */
export interface Claims {
  /** Path → name of the package that ships it. */
  readonly packages: ReadonlyMap<string, string>
  /** Path → the upstream artifact or container image that it comes from: `artifact:NAME` or `container:NAME`. */
  readonly upstream: ReadonlyMap<string, string>
  /** Paths of the image's definition, or made from the platform file. */
  readonly definition: ReadonlySet<string>
  /** The names of installed packages. */
  readonly installed: ReadonlySet<string>
}

/**
 * Reads the owners of files from dpkg's database.
 * @param lists records `FILE.list\tPATH`, a line each, of all lists in /var/lib/dpkg/info
 * @param diversions /var/lib/dpkg/diversions: three lines each, the path, the diverted path, the package
 * @returns path → package
 */
export function readPackageLists(lists: string, diversions: string): Map<string, string> {
  const diversionOf = new Map<string, { to: string; by: string }>()
  const lines = diversions.split('\n')
  for (let index = 0; index + 2 < lines.length; index += 3) {
    const [from = '', to = '', by = ''] = lines.slice(index, index + 3)
    diversionOf.set(from, { to, by })
  }
  const owners = new Map<string, string>()
  for (const line of lists.split('\n')) {
    const [, file, path] = /^([^\t]+)\.list\t(.*)$/.exec(line) ?? []
    if (file === undefined || path === undefined) continue
    const name = file.replace(/:.*/, '')
    const diversion = diversionOf.get(path)
    owners.set(mergedPath(diversion && diversion.by !== name ? diversion.to : path), name)
  }
  return owners
}

/** A path on a system with merged /usr, where /bin, /lib and so on are links. */
function mergedPath(path: string): string {
  return path.replace(/^\/(bin|sbin|lib|lib32|lib64|libx32)(?=\/)/, '/usr/$1')
}

/** The entries with owners, except of directories. */
export function withOwners(entries: readonly FileEntry[], claims: Claims): FileEntry[] {
  const byPath = new Map(entries.map((entry) => [entry.path, entry]))
  return entries.map((entry) =>
    entry.type === 'directory' ? entry : { ...entry, owner: ownerOf(entry, byPath, claims) },
  )
}

function ownerOf(entry: FileEntry, entries: ReadonlyMap<string, FileEntry>, claims: Claims): string | null {
  const shipped = shipperOf(entry.path, claims)
  if (shipped !== undefined) return shipped
  // The definition masks units.
  if (entry.target === '/dev/null' && entry.path.startsWith('/etc/systemd/')) return 'definition'
  return throughLink(entry, entries, claims) ?? madeBy(entry.path, claims) ?? null
}

function shipperOf(path: string, { packages, upstream, definition }: Claims): string | undefined {
  if (definition.has(path)) return 'definition'
  const origin = upstream.get(path)
  if (origin !== undefined) return origin
  const owner = packages.get(path) ?? packages.get(sourceOf(path))
  return owner === undefined ? undefined : `package:${owner}`
}

function madeBy(path: string, { installed }: Claims): string | undefined {
  const maker = makerOf(path, installed)
  return maker === undefined ? undefined : `package:${maker}`
}

/** What Python's byte code or the copy of the kernel's configuration is made from; any other path unchanged. */
function sourceOf(path: string): string {
  return path
    .replace(/\/__pycache__\/([^/]+)\.cpython-\d+\.pyc$/, '/$1.py')
    .replace(/^\/usr\/lib\/modules\/([^/]+)\/config$/, '/boot/config-$1')
}

/** The maximum number of links to follow, as in the kernel. */
const MAX_LINKS = 40

/** The owner of a link's target owns the link: an enabled unit, an alternative, a certificate by its hash. */
function throughLink(
  entry: FileEntry,
  entries: ReadonlyMap<string, FileEntry>,
  claims: Claims,
): string | undefined {
  let link = entry
  for (let step = 0; step < MAX_LINKS && link.target !== undefined; step++) {
    const path = mergedPath(posix.resolve(posix.dirname(link.path), link.target))
    const owner = shipperOf(path, claims)
    if (owner !== undefined) return owner
    const next = entries.get(path)
    if (next?.target === undefined) return madeBy(path, claims)
    link = next
  }
  return undefined
}
