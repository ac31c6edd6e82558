import { PveError } from '../failure.ts'
import type { ImageFormat } from '../image-file.ts'
import { BlockPool, onlyRaw } from './block.ts'
import type { ListedVolume, Storage, StorageStatus } from './storage.ts'

/** Volumes are whole megabytes: Proxmox VE rounds up to what a block size of its own divides. */
const stepBytes = 1024 ** 2

/** The volumes of a ZFS dataset. */
export function zfsPool(dataset: string): BlockPool {
  return new BlockPool(`/dev/zvol/${dataset}`, `/run/stand-in/zfs-${dataset.replaceAll('/', '-')}`, stepBytes)
}

/** A dataset of ZFS. A linked clone names its base: `base-9000-disk-0/vm-101-disk-0`. */
export class ZfsStorage implements Storage {
  readonly name: string
  readonly type = 'zfspool'
  readonly content: readonly string[]
  readonly formats = ['raw'] as const
  private readonly dataset: string
  private readonly pool: BlockPool

  constructor(name: string, dataset: string, content: readonly string[]) {
    this.name = name
    this.dataset = dataset
    this.content = content
    this.pool = zfsPool(dataset)
  }

  activate(): void {
    this.pool.prepare()
  }

  path(volume: string): string {
    const [, name] = /^(?:base-\d+-[^/]+\/)?((?:vm|base)-\d+-[^/]+)$/.exec(volume) ?? []
    if (name === undefined) throw new PveError(`unable to parse zfs volume name '${volume}'`)
    return this.pool.path(name)
  }

  owner(volume: string): number | undefined {
    const vmid = /(?:^|\/)(?:vm|base)-(\d+)-[^/]+$/.exec(volume)?.[1]
    return vmid === undefined ? undefined : Number(vmid)
  }

  format(): ImageFormat {
    return 'raw'
  }

  exists(volume: string): boolean {
    return this.pool.exists(lastPart(volume))
  }

  size(volume: string): number {
    this.require(volume)
    return this.pool.volume(lastPart(volume)).size
  }

  private require(volume: string): void {
    if (this.exists(volume)) return
    throw new PveError(`zfs error: cannot open '${this.dataset}/${lastPart(volume)}': dataset does not exist`)
  }

  list(): ListedVolume[] {
    return this.pool.volumes().map(({ name, size, ctime, used, origin }) => ({
      volid: `${this.name}:${origin === undefined ? '' : `${origin}/`}${name}`,
      format: 'raw',
      content: 'images',
      size,
      ctime,
      used,
      vmid: this.owner(name),
      parent: origin === undefined ? undefined : `${this.name}:${origin}`,
    }))
  }

  status(): StorageStatus {
    return this.pool.status()
  }

  async allocate(vmid: number, format: ImageFormat, bytes: number, name?: string): Promise<string> {
    onlyRaw(format)
    const volume = name ?? this.pool.nextName(vmid)
    if (this.exists(volume)) {
      throw new PveError(`zfs error: cannot create '${this.dataset}/${volume}': dataset already exists`)
    }
    this.pool.create(volume, bytes)
    return volume
  }

  async free(volume: string): Promise<void> {
    this.require(volume)
    const name = lastPart(volume)
    if (this.pool.volumes().some(({ origin }) => origin === name)) {
      throw new PveError(`zfs error: cannot destroy '${this.dataset}/${name}': volume has dependent clones`)
    }
    this.pool.remove(name)
  }

  async makeBase(volume: string): Promise<string> {
    this.require(volume)
    const base = lastPart(volume).replace(/^vm-/, 'base-')
    this.pool.rename(lastPart(volume), base)
    return base
  }

  isBase(volume: string): boolean {
    return /(?:^|\/)base-[^/]+$/.test(volume)
  }

  canLink(volume: string): boolean {
    return this.isBase(volume)
  }

  async linkedClone(volume: string, vmid: number): Promise<string> {
    const clone = this.pool.nextName(vmid)
    this.pool.clone(lastPart(volume), clone)
    return `${lastPart(volume)}/${clone}`
  }

  async resize(volume: string, bytes: number): Promise<void> {
    this.require(volume)
    this.pool.resize(lastPart(volume), bytes)
  }

  async snapshot(volume: string, name: string): Promise<void> {
    this.pool.clone(lastPart(volume), `${lastPart(volume)}@${name}`)
  }

  async deleteSnapshot(volume: string, name: string): Promise<void> {
    this.pool.remove(`${lastPart(volume)}@${name}`)
  }
}

function lastPart(volume: string): string {
  return volume.replace(/^.*\//, '')
}
