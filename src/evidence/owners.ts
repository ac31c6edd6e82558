import { posix } from 'node:path'
import type { FileEntry } from './inventory.ts'
import { makerOf } from './made-files.ts'

/** What is known of who put files into an image. */
export interface Claims {
  /** Path → name of the package whose list of files has it. */
  readonly packages: ReadonlyMap<string, string>
  /** Path → name of the upstream artifact that it was taken from. */
  readonly artifacts: ReadonlyMap<string, string>
  /** Paths that the image's definition adds, or that are made from the platform file. */
  readonly definition: ReadonlySet<string>
  /** The names of the packages that are installed. */
  readonly installed: ReadonlySet<string>
}

/**
 * Reads dpkg's own record of who owns what.
 * @param lists records `FILE.list\tPATH`, a line each, of all lists in /var/lib/dpkg/info
 * @param diversions /var/lib/dpkg/diversions: three lines each, the path, where it is diverted to, by which package
 * @returns path → package
 */
export function readPackageLists(lists: string, diversions: string): Map<string, string> {
  const away = new Map<string, { to: string; by: string }>()
  const lines = diversions.split('\n')
  for (let at = 0; at + 2 < lines.length; at += 3) {
    const [from = '', to = '', by = ''] = lines.slice(at, at + 3)
    away.set(from, { to, by })
  }
  const owners = new Map<string, string>()
  for (const line of lists.split('\n')) {
    const [, file, path] = /^([^\t]+)\.list\t(.*)$/.exec(line) ?? []
    if (file === undefined || path === undefined) continue
    const name = file.replace(/:.*/, '')
    const diverted = away.get(path)
    owners.set(merged(diverted && diverted.by !== name ? diverted.to : path), name)
  }
  return owners
}

/** A path as it is on a system whose /bin, /lib and so on are links to those in /usr. */
function merged(path: string): string {
  return path.replace(/^\/(bin|sbin|lib|lib32|lib64|libx32)(?=\/)/, '/usr/$1')
}

/** The same entries, each that is no directory with its owner. */
export function withOwners(entries: readonly FileEntry[], claims: Claims): FileEntry[] {
  const byPath = new Map(entries.map((entry) => [entry.path, entry]))
  return entries.map((entry) =>
    entry.type === 'directory' ? entry : { ...entry, owner: ownerOf(entry, byPath, claims) },
  )
}

function ownerOf(entry: FileEntry, entries: ReadonlyMap<string, FileEntry>, claims: Claims): string | null {
  const shipped = shipperOf(entry.path, claims)
  if (shipped !== undefined) return shipped
  // A unit that is masked is so by the definition.
  if (entry.target === '/dev/null' && entry.path.startsWith('/etc/systemd/')) return 'definition'
  return throughLink(entry, entries, claims) ?? madeBy(entry.path, claims) ?? null
}

function shipperOf(path: string, { packages, artifacts, definition }: Claims): string | undefined {
  if (definition.has(path)) return 'definition'
  const artifact = artifacts.get(path)
  if (artifact !== undefined) return `artifact:${artifact}`
  const owner = packages.get(path) ?? packages.get(sourceOf(path))
  return owner === undefined ? undefined : `package:${owner}`
}

function madeBy(path: string, { installed }: Claims): string | undefined {
  const maker = makerOf(path, installed)
  return maker === undefined ? undefined : `package:${maker}`
}

/** Of Python's byte code the source that it was made from. */
function sourceOf(path: string): string {
  return path.replace(/\/__pycache__\/([^/]+)\.cpython-\d+\.pyc$/, '/$1.py')
}

/** So many links one after the other are followed, as the kernel does. */
const MOST_LINKS = 40

/** What a package's script links to is what it is: an enabled unit, an alternative, a certificate by its hash. */
function throughLink(
  entry: FileEntry,
  entries: ReadonlyMap<string, FileEntry>,
  claims: Claims,
): string | undefined {
  let at = entry
  for (let step = 0; step < MOST_LINKS && at.target !== undefined; step++) {
    const path = merged(posix.resolve(posix.dirname(at.path), at.target))
    const owner = shipperOf(path, claims)
    if (owner !== undefined) return owner
    const next = entries.get(path)
    if (next?.target === undefined) return madeBy(path, claims)
    at = next
  }
  return undefined
}
