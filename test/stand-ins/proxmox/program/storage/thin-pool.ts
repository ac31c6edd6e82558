import { PveError } from '../failure.ts'
import type { ImageFormat } from '../image-file.ts'
import { out } from '../output.ts'
import { BlockPool, onlyRaw } from './block.ts'
import type { ListedVolume, Storage, StorageStatus } from './storage.ts'

const extentBytes = 4 * 1024 ** 2

/** The volumes of a volume group's thin pool. */
export function thinPool(group: string): BlockPool {
  return new BlockPool(`/dev/${group}`, `/run/stand-in/lvm-${group}`, extentBytes)
}

/** A thin pool of LVM. It does not know any more what a clone was made of, except in LVM's own notes. */
export class ThinPoolStorage implements Storage {
  readonly name: string
  readonly type = 'lvmthin'
  readonly content: readonly string[]
  readonly formats = ['raw'] as const
  private readonly group: string
  private readonly pool: BlockPool

  constructor(name: string, group: string, content: readonly string[]) {
    this.name = name
    this.group = group
    this.content = content
    this.pool = thinPool(group)
  }

  activate(): void {
    this.pool.prepare()
  }

  path(volume: string): string {
    if (!/^(vm|base)-\d+-\S+$/.test(volume)) throw new PveError(`unable to parse lvm volume name '${volume}'`)
    return this.pool.path(volume)
  }

  owner(volume: string): number | undefined {
    const vmid = /^(?:vm|base)-(\d+)-/.exec(volume)?.[1]
    return vmid === undefined ? undefined : Number(vmid)
  }

  format(): ImageFormat {
    return 'raw'
  }

  exists(volume: string): boolean {
    return this.pool.exists(volume)
  }

  size(volume: string): number {
    if (!this.exists(volume)) throw new PveError(`no such logical volume ${this.group}/${volume}`)
    return this.pool.volume(volume).size
  }

  list(): ListedVolume[] {
    return this.pool.volumes().map(({ name, size, ctime, used }) => ({
      volid: `${this.name}:${name}`,
      format: 'raw',
      content: 'images',
      size,
      ctime,
      used,
      vmid: this.owner(name),
      parent: undefined,
    }))
  }

  status(): StorageStatus {
    return this.pool.status()
  }

  async allocate(vmid: number, format: ImageFormat, bytes: number, name?: string): Promise<string> {
    onlyRaw(format)
    const volume = name ?? this.pool.nextName(vmid)
    if (this.exists(volume)) {
      throw new PveError(
        `lvcreate '${this.group}/${volume}' error:   Logical Volume "${volume}" already exists in volume group "${this.group}"`,
      )
    }
    this.pool.create(volume, bytes)
    out(`  Logical volume "${volume}" created.\n`)
    return volume
  }

  async free(volume: string): Promise<void> {
    if (!this.exists(volume)) throw new PveError(`no such logical volume ${this.group}/${volume}`)
    this.pool.remove(volume)
    out(`  Logical volume "${volume}" successfully removed.\n`)
  }

  async makeBase(volume: string): Promise<string> {
    if (!this.exists(volume)) throw new PveError(`no such logical volume ${this.group}/${volume}`)
    const base = volume.replace(/^vm-/, 'base-')
    this.pool.rename(volume, base)
    out(`  Renamed "${volume}" to "${base}" in volume group "${this.group}"\n`)
    this.pool.makeReadOnly(base)
    out(`  Logical volume ${this.group}/${base} changed.\n`)
    return base
  }

  isBase(volume: string): boolean {
    return volume.startsWith('base-')
  }

  canLink(volume: string): boolean {
    return this.isBase(volume)
  }

  async linkedClone(volume: string, vmid: number): Promise<string> {
    const clone = this.pool.nextName(vmid)
    this.pool.clone(volume, clone)
    out(`  Logical volume "${clone}" created.\n`)
    return clone
  }

  async resize(volume: string, bytes: number): Promise<void> {
    const before = this.size(volume)
    this.pool.resize(volume, bytes)
    out(
      `  Size of logical volume ${this.group}/${volume} changed from ${extents(before)} to ${extents(this.size(volume))}.\n` +
        `  Logical volume ${this.group}/${volume} successfully resized.\n`,
    )
  }

  async snapshot(volume: string, name: string): Promise<void> {
    this.pool.clone(volume, `snap_${volume}_${name}`)
    out(`  Logical volume "snap_${volume}_${name}" created.\n`)
  }

  async deleteSnapshot(volume: string, name: string): Promise<void> {
    this.pool.remove(`snap_${volume}_${name}`)
    out(`  Logical volume "snap_${volume}_${name}" successfully removed.\n`)
  }
}

/** As LVM prints a size: `64.00 MiB (16 extents)`. */
function extents(bytes: number): string {
  const [value, unit] = bytes >= 1024 ** 3 ? [bytes / 1024 ** 3, 'GiB'] : [bytes / 1024 ** 2, 'MiB']
  return `${value.toFixed(2)} ${unit} (${bytes / extentBytes} extents)`
}
