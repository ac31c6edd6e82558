/**
 * The files of an image in the page's data, for its script. There are thousands: so the tuples have no field names, and
 * empty files are left out.
 */
export interface PackedSizes {
  /** Such as `package:NAME`, or `nobody`. */
  readonly owners: readonly string[]
  readonly root: PackedFolder
}

export type Packed = PackedFile | PackedFolder
export type PackedFolder = readonly [name: string, entries: readonly Packed[]]
/** Bytes, the owner's index in `owners`, and the change since the version that it was compared with. */
export type PackedFile = readonly [name: string, size: number, owner: number, change?: 1 | 2]

/** The meaning of a file's last number. */
export const CHANGES = { 1: 'changed', 2: 'new' } as const
