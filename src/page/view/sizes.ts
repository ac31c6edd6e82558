import type { FileEntry } from '../../evidence/inventory.ts'
import type { FilesDifference } from '../../release/difference/files-difference.ts'
import type { Packed, PackedFile, PackedFolder, PackedSizes } from '../packed.ts'

/** Where the bytes of an image are. */
export interface Sizes {
  /** Of all files, before `/usr` is compressed. */
  readonly total: number
  /** The largest folders, each with those above it that are on its way: for who has no script. */
  readonly folders: readonly { readonly path: string; readonly size: number; readonly files: number }[]
  readonly packed: PackedSizes
}

/** Folders this deep are told, when they have at least this part of all bytes. */
const DEPTH = 3
const LEAST = 0.01

/** The sizes of an image's files, by folder. */
export function sizesOf(files: readonly FileEntry[], difference: FilesDifference | undefined): Sizes {
  const full = files.filter(({ type, size = 0 }) => type === 'file' && size > 0)
  const total = full.reduce((sum, { size = 0 }) => sum + size, 0)
  const folders = new Map<string, { size: number; files: number }>()
  for (const { path, size = 0 } of full) {
    const parts = path.split('/').slice(1, -1)
    for (let depth = 1; depth <= Math.min(parts.length, DEPTH); depth++) {
      const folder = `/${parts.slice(0, depth).join('/')}`
      const so = folders.get(folder) ?? { size: 0, files: 0 }
      folders.set(folder, { size: so.size + size, files: so.files + 1 })
    }
  }
  return {
    total,
    folders: [...folders]
      .map(([path, held]) => ({ path, ...held }))
      .filter(({ size }) => size >= total * LEAST)
      .sort((a, b) => (a.path < b.path ? -1 : 1)),
    packed: pack(full, difference),
  }
}

/** A folder while it is filled. */
interface Filling {
  readonly folders: Map<string, Filling>
  readonly files: PackedFile[]
}

function pack(files: readonly FileEntry[], difference: FilesDifference | undefined): PackedSizes {
  const owners = [...new Set(files.map(({ owner }) => owner ?? 'nobody'))].sort()
  const places = new Map(owners.map((owner, place) => [owner, place]))
  const changed = new Set(
    difference?.changed.flatMap(({ path, what }) => (what.includes('content') ? [path] : [])),
  )
  const added = new Set(difference?.added)
  const root: Filling = { folders: new Map(), files: [] }
  for (const { path, size = 0, owner } of files) {
    const parts = path.split('/').slice(1)
    const name = parts.pop() ?? ''
    let at = root
    for (const part of parts) {
      const next = at.folders.get(part) ?? { folders: new Map(), files: [] }
      at.folders.set(part, next)
      at = next
    }
    const place = places.get(owner ?? 'nobody') ?? 0
    const change = added.has(path) ? 2 : changed.has(path) ? 1 : undefined
    at.files.push(change === undefined ? [name, size, place] : [name, size, place, change])
  }
  return { owners, root: packFolder('', root) }
}

function packFolder(name: string, { folders, files }: Filling): PackedFolder {
  const entries: Packed[] = [...folders].map(([inner, filling]) => packFolder(inner, filling))
  return [name, [...entries, ...files]]
}
