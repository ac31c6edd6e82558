import { CHANGES, type Packed, type PackedFile, type PackedSizes } from '../packed.ts'

/** A folder, a file, or several small entries together, in the tree by folder or by owner. */
export interface TreeEntry {
  readonly kind: 'folder' | 'file' | 'rest'
  readonly name: string
  /** In the image; for an owner its name. */
  readonly path: string
  readonly size: number
  /** Largest first; undefined for a file. */
  readonly entries: readonly TreeEntry[] | undefined
  /** Of a file, such as `package:NAME`. */
  readonly owner: string | undefined
  /** The number of changed or new files. */
  readonly changes: number
  readonly state: 'changed' | 'new' | undefined
}

/** The image by folders, the root first. */
export function byFolder({ owners, root }: PackedSizes): TreeEntry {
  return entryOf(root, '', owners)
}

/** The image by owner of the files; each owner by folders. */
export function byOwner({ owners, root }: PackedSizes): TreeEntry {
  const trees = owners.map((owner, index): TreeEntry => {
    const own = filterOwner(root, index)
    const tree = own ? entryOf(own, '', owners) : folder('', '', [])
    return { ...tree, name: owner.replace(/^package:/, ''), path: owner, owner }
  })
  return folder('all owners', '', trees)
}

function entryOf(packed: Packed, parent: string, owners: readonly string[]): TreeEntry {
  if (isFile(packed)) return fileOf(packed, parent, owners)
  const [name, inner] = packed
  const path = name === '' ? '' : `${parent}/${name}`
  const [first, ...more] = inner
  // A folder that contains only a folder is shown as one entry.
  if (name !== '' && first !== undefined && more.length === 0 && !isFile(first)) {
    const below = entryOf(first, path, owners)
    return { ...below, name: `${name}/${below.name}` }
  }
  return folder(
    name === '' ? '/' : name,
    path === '' ? '/' : path,
    inner.map((entry) => entryOf(entry, path, owners)),
  )
}

function fileOf(
  [name, size, owner, change]: PackedFile,
  parent: string,
  owners: readonly string[],
): TreeEntry {
  const state = change === undefined ? undefined : CHANGES[change]
  return {
    kind: 'file',
    name,
    path: `${parent}/${name}`,
    size,
    entries: undefined,
    owner: owners[owner],
    state,
    changes: state === undefined ? 0 : 1,
  }
}

function folder(name: string, path: string, entries: readonly TreeEntry[]): TreeEntry {
  return {
    kind: 'folder',
    name,
    path,
    owner: undefined,
    state: undefined,
    size: entries.reduce((sum, { size }) => sum + size, 0),
    changes: entries.reduce((sum, { changes }) => sum + changes, 0),
    entries: [...entries].sort((a, b) => b.size - a.size || (a.name < b.name ? -1 : 1)),
  }
}

/** The folder with the files of one owner only; undefined when it has none of them. */
function filterOwner([name, inner]: PackedSizes['root'], owner: number): PackedSizes['root'] | undefined {
  const kept = inner.flatMap((entry): Packed[] => {
    if (isFile(entry)) return entry[2] === owner ? [entry] : []
    const below = filterOwner(entry, owner)
    return below ? [below] : []
  })
  return kept.length === 0 ? undefined : [name, kept]
}

function isFile(packed: Packed): packed is PackedFile {
  return typeof packed[1] === 'number'
}

/** The entries of at least `leastSize`, and all smaller ones as a single entry. */
export function groupSmall(entry: TreeEntry, leastSize: number): readonly TreeEntry[] {
  const { entries = [], path } = entry
  const small = entries.filter(({ size }) => size < leastSize)
  if (small.length < 2 || small.length === entries.length) return entries
  const rest: TreeEntry = { ...folder(`${small.length} smaller`, path, small), kind: 'rest' }
  return [...entries.filter(({ size }) => size >= leastSize), rest]
}

/** The folders from a root to the first one that no single entry nearly fills: a map of those above would be one tile. */
export function pathToVariety(root: TreeEntry): TreeEntry[] {
  const [largest] = root.entries ?? []
  if (largest?.entries === undefined || largest.size < root.size * NEARLY_ALL) return [root]
  return [root, ...pathToVariety(largest)]
}

const NEARLY_ALL = 0.9
