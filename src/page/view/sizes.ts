import type { FileEntry } from '../../evidence/inventory.ts'
import type { FilesDifference } from '../../release/difference/files-difference.ts'
import type { Packed, PackedFile, PackedFolder, PackedSizes } from '../packed.ts'

/** The sizes of an image's files and folders. */
export interface Sizes {
  /** Of all files, before `/usr` is compressed. */
  readonly total: number
  /** The largest folders and their parents, for a browser without scripts. */
  readonly folders: readonly { readonly path: string; readonly size: number; readonly files: number }[]
  readonly packed: PackedSizes
}

/** The table has folders up to this depth that hold at least this share of all bytes. */
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
      const sum = folders.get(folder) ?? { size: 0, files: 0 }
      folders.set(folder, { size: sum.size + size, files: sum.files + 1 })
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

/** A folder to which files are added. */
interface FolderTree {
  readonly folders: Map<string, FolderTree>
  readonly files: PackedFile[]
}

function pack(files: readonly FileEntry[], difference: FilesDifference | undefined): PackedSizes {
  const owners = [...new Set(files.map(({ owner }) => owner ?? 'nobody'))].sort()
  const indexOf = new Map(owners.map((owner, index) => [owner, index]))
  const changed = new Set(
    difference?.changed.flatMap(({ path, what }) => (what.includes('content') ? [path] : [])),
  )
  const added = new Set(difference?.added)
  const root: FolderTree = { folders: new Map(), files: [] }
  for (const { path, size = 0, owner } of files) {
    const parts = path.split('/').slice(1)
    const name = parts.pop() ?? ''
    let folder = root
    for (const part of parts) {
      const next = folder.folders.get(part) ?? { folders: new Map(), files: [] }
      folder.folders.set(part, next)
      folder = next
    }
    const ownerIndex = indexOf.get(owner ?? 'nobody') ?? 0
    const change = added.has(path) ? 2 : changed.has(path) ? 1 : undefined
    folder.files.push(change === undefined ? [name, size, ownerIndex] : [name, size, ownerIndex, change])
  }
  return { owners, root: packFolder('', root) }
}

function packFolder(name: string, { folders, files }: FolderTree): PackedFolder {
  const entries: Packed[] = [...folders].map(([inner, tree]) => packFolder(inner, tree))
  return [name, [...entries, ...files]]
}
