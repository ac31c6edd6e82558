import { CHANGES, type Packed, type PackedFile, type PackedSizes } from '../packed.ts'

/** A folder, a file, or several small ones together, in one of the ways to look at an image. */
export interface TreeEntry {
  readonly kind: 'folder' | 'file' | 'rest'
  readonly name: string
  /** In the image; of an owner, its name. */
  readonly path: string
  readonly size: number
  /** Undefined for a file. Largest first. */
  readonly entries: readonly TreeEntry[] | undefined
  /** Of a file, as `package:NAME`. */
  readonly owner: string | undefined
  /** How many files of it are changed or new; of a file its own state is in `state`. */
  readonly changes: number
  readonly state: 'changed' | 'new' | undefined
}

/** The image by folders, the root first. */
export function byFolder({ owners, root }: PackedSizes): TreeEntry {
  return entryOf(root, '', owners)
}

/** The image by who owns its files; each owner by folders. */
export function byOwner({ owners, root }: PackedSizes): TreeEntry {
  const trees = owners.map((owner, place): TreeEntry => {
    const own = only(root, place)
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
  // A folder with nothing but a folder in it is one step, not two.
  if (name !== '' && first !== undefined && more.length === 0 && !isFile(first)) {
    const below = entryOf(first, path, owners)
    return { ...below, name: `${name}/${below.name}` }
  }
  return folder(
    name === '' ? '/' : name,
    path === '' ? '/' : path,
    inner.map((one) => entryOf(one, path, owners)),
  )
}

function fileOf(
  [name, size, place, change]: PackedFile,
  parent: string,
  owners: readonly string[],
): TreeEntry {
  const state = change === undefined ? undefined : CHANGES[change]
  return {
    ...{
      kind: 'file',
      name,
      path: `${parent}/${name}`,
      size,
      entries: undefined,
      owner: owners[place],
      state,
    },
    changes: state === undefined ? 0 : 1,
  }
}

function folder(name: string, path: string, entries: readonly TreeEntry[]): TreeEntry {
  return {
    ...{ kind: 'folder', name, path, owner: undefined, state: undefined },
    size: entries.reduce((sum, one) => sum + one.size, 0),
    changes: entries.reduce((sum, one) => sum + one.changes, 0),
    entries: [...entries].sort((a, b) => b.size - a.size || (a.name < b.name ? -1 : 1)),
  }
}

/** What of a folder belongs to one owner; undefined when nothing does. */
function only([name, inner]: PackedSizes['root'], place: number): PackedSizes['root'] | undefined {
  const kept = inner.flatMap((one): Packed[] => {
    if (isFile(one)) return one[2] === place ? [one] : []
    const below = only(one, place)
    return below ? [below] : []
  })
  return kept.length === 0 ? undefined : [name, kept]
}

function isFile(packed: Packed): packed is PackedFile {
  return typeof packed[1] === 'number'
}

/** The entries that are large enough to be seen, and all others together as one more. */
export function gathered(entry: TreeEntry, leastSize: number): readonly TreeEntry[] {
  const { entries = [], path } = entry
  const small = entries.filter(({ size }) => size < leastSize)
  if (small.length < 2 || small.length === entries.length) return entries
  const rest: TreeEntry = { ...folder(`${small.length} smaller`, path, small), kind: 'rest' }
  return [...entries.filter(({ size }) => size >= leastSize), rest]
}

/** The way from a root to the first folder in which no single entry has nearly everything: there a map shows something. */
export function wayToVariety(root: TreeEntry): TreeEntry[] {
  const [largest] = root.entries ?? []
  if (largest?.entries === undefined || largest.size < root.size * NEARLY_ALL) return [root]
  return [root, ...wayToVariety(largest)]
}

const NEARLY_ALL = 0.9
