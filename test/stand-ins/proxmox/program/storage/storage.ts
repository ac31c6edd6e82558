import type { ImageFormat } from '../image-file.ts'

/** A volume of a storage, as a list has it. */
export interface ListedVolume {
  readonly volid: string
  readonly format: string
  readonly content: string
  /** Bytes. */
  readonly size: number
  readonly vmid: number | undefined
  readonly ctime: number
  readonly used: number
  /** The volume it is a clone of, as far as the storage knows. */
  readonly parent: string | undefined
}

/** What there is room for, in bytes. */
export interface StorageStatus {
  readonly total: number
  readonly used: number
  readonly available: number
}

/** A storage of `storage.cfg`. A volume's name is its id without the storage's. */
export interface Storage {
  readonly name: string
  readonly type: string
  readonly content: readonly string[]
  /** What it makes a VM's disk of, and what else it can. */
  readonly formats: readonly [ImageFormat, ...ImageFormat[]]
  /**
   * Makes sure that it can be used.
   * @throws PveError when it is gone
   */
  activate(): void
  /** Where a volume is. */
  path(volume: string): string
  /** The VM a volume belongs to. */
  owner(volume: string): number | undefined
  format(volume: string): ImageFormat
  exists(volume: string): boolean
  /** Bytes a VM sees. */
  size(volume: string): number
  list(): ListedVolume[]
  status(): StorageStatus
  /** Makes a volume of at least this size in bytes, under a name or the next free one; returns its name. */
  allocate(vmid: number, format: ImageFormat, bytes: number, name?: string): Promise<string>
  free(volume: string): Promise<void>
  /** Turns a volume into one that clones are made of; its new name. */
  makeBase(volume: string): Promise<string>
  isBase(volume: string): boolean
  /** Whether a volume can be cloned without copying it. */
  canLink(volume: string): boolean
  linkedClone(volume: string, vmid: number): Promise<string>
  resize(volume: string, bytes: number): Promise<void>
  snapshot(volume: string, name: string): Promise<void>
  deleteSnapshot(volume: string, name: string): Promise<void>
}

/** The next free name of a VM's disk: a number that neither a disk nor a base has. */
export function nextDiskNumber(names: readonly string[], vmid: number): number {
  const pattern = new RegExp(`^(?:vm|base)-${vmid}-disk-(\\d+)(?:\\.|$)`)
  const taken = new Set(names.map((name) => pattern.exec(name)?.[1]))
  for (let number = 0; ; number++) if (!taken.has(String(number))) return number
}
