import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statfsSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { PveError } from '../failure.ts'
import type { ImageFormat } from '../image-file.ts'
import { nextDiskNumber, type StorageStatus } from './storage.ts'

/** What is known of a volume beside its data. */
export interface BlockVolume {
  readonly name: string
  /** Bytes. */
  readonly size: number
  /** The volume it was made from, as long as that is there. */
  readonly origin: string | undefined
  readonly ctime: number
  readonly used: number
}

/**
 * The volumes of a pool: sparse files that stand for block devices in a folder of /dev. What LVM or ZFS would know
 * about one is in a file of the same name in `notes`.
 */
export class BlockPool {
  private readonly folder: string
  private readonly notes: string
  private readonly extent: number

  constructor(folder: string, notes: string, extent: number) {
    this.folder = folder
    this.notes = notes
    this.extent = extent
  }

  prepare(): void {
    mkdirSync(this.folder, { recursive: true })
    mkdirSync(this.notes, { recursive: true })
  }

  path(name: string): string {
    return `${this.folder}/${name}`
  }

  exists(name: string): boolean {
    return existsSync(this.path(name))
  }

  names(): string[] {
    if (!existsSync(this.folder)) return []
    return readdirSync(this.folder)
      .filter((name) => !name.startsWith('.'))
      .sort()
  }

  volume(name: string): BlockVolume {
    const { size, ctimeMs, blocks } = statSync(this.path(name))
    const note = `${this.notes}/${name}`
    const origin = existsSync(note) ? readFileSync(note, 'utf8') : undefined
    return { name, size, origin, ctime: Math.floor(ctimeMs / 1000), used: blocks * 512 }
  }

  volumes(): BlockVolume[] {
    return this.names().map((name) => this.volume(name))
  }

  nextName(vmid: number): string {
    return `vm-${vmid}-disk-${nextDiskNumber(this.names(), vmid)}`
  }

  /** The size in bytes of a volume of at least this size. */
  rounded(bytes: number): number {
    return Math.max(1, Math.ceil(bytes / this.extent)) * this.extent
  }

  create(name: string, bytes: number): void {
    writeFileSync(this.path(name), '', { flag: 'wx', mode: 0o660 })
    truncateSync(this.path(name), this.rounded(bytes))
  }

  /** A copy that keeps its holes, for a file system without clones of its own. */
  clone(from: string, to: string): void {
    const temporary = `${this.folder}/.${to}`
    execFileSync('/bin/cp', ['--sparse=always', '--reflink=auto', this.path(from), temporary])
    chmodSync(temporary, 0o660)
    writeFileSync(`${this.notes}/${to}`, from)
    renameSync(temporary, this.path(to))
  }

  rename(from: string, to: string): void {
    renameSync(this.path(from), this.path(to))
    if (existsSync(`${this.notes}/${from}`)) renameSync(`${this.notes}/${from}`, `${this.notes}/${to}`)
  }

  makeReadOnly(name: string): void {
    chmodSync(this.path(name), 0o440)
  }

  remove(name: string): void {
    if (!this.exists(name)) throw new PveError(`no such volume '${name}'`)
    rmSync(this.path(name))
    rmSync(`${this.notes}/${name}`, { force: true })
    for (const other of this.volumes()) {
      if (other.origin === name) rmSync(`${this.notes}/${other.name}`, { force: true })
    }
  }

  resize(name: string, bytes: number): void {
    truncateSync(this.path(name), this.rounded(bytes))
  }

  status(): StorageStatus {
    const { bsize, blocks, bavail } = statfsSync(this.folder)
    const used = this.volumes().reduce((sum, one) => sum + one.used, 0)
    return { total: Math.min(blocks * bsize, bavail * bsize + used), used, available: bavail * bsize }
  }
}

/** Block devices have no format of their own. */
export function onlyRaw(format: ImageFormat): void {
  if (format !== 'raw') throw new PveError(`unsupported format '${format}'`)
}
