/**
 * The files of an image as a page carries them, for its script. Thousands of them: so no names of fields, and no entry of
 * a file without content.
 */
export interface PackedSizes {
  /** As `package:NAME`; of a file that is nobody's, `nobody`. */
  readonly owners: readonly string[]
  readonly root: PackedFolder
}

export type Packed = PackedFile | PackedFolder
export type PackedFolder = readonly [name: string, entries: readonly Packed[]]
/** Bytes, the owner's place in `owners`, and what happened to it since the version that it was compared with. */
export type PackedFile = readonly [name: string, size: number, owner: number, change?: 1 | 2]

/** What the last number of a file means. */
export const CHANGES = { 1: 'changed', 2: 'new' } as const
