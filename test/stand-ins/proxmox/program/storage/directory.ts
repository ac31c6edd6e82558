import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmdirSync,
  rmSync,
  statfsSync,
  statSync,
} from 'node:fs'
import { basename, dirname } from 'node:path'
import { PveError } from '../failure.ts'
import { formatOfName, type ImageFormat, readImageFile } from '../image-file.ts'
import { err, out } from '../output.ts'
import { run, runAloud } from '../processes.ts'
import { type ListedVolume, nextDiskNumber, type Storage, type StorageStatus } from './storage.ts'

const folders: Readonly<Record<string, string>> = {
  import: 'import',
  iso: 'template/iso',
  snippets: 'snippets',
  vztmpl: 'template/cache',
  backup: 'dump',
}

/** A storage of files: `VMID/vm-VMID-disk-0.raw` in `images`, and the other kinds of content beside it. */
export class DirectoryStorage implements Storage {
  readonly name: string
  readonly type = 'dir'
  readonly content: readonly string[]
  readonly formats = ['raw', 'qcow2', 'vmdk'] as const
  private readonly folder: string

  constructor(name: string, folder: string, content: readonly string[]) {
    this.name = name
    this.folder = folder
    this.content = content
  }

  activate(): void {
    mkdirSync(this.folder, { recursive: true })
  }

  path(volume: string): string {
    const clone = /^\d+\/base-[^/]+\/(\d+\/vm-[^/]+)$/.exec(volume)?.[1]
    if (clone !== undefined) return `${this.folder}/images/${clone}`
    if (/^\d+\/[^/]+$/.test(volume)) return `${this.folder}/images/${volume}`
    const [, kind = '', name = ''] = /^([a-z]+)\/([^/]+)$/.exec(volume) ?? []
    const folder = folders[kind]
    if (folder === undefined) throw new PveError(`unable to parse directory volume name '${volume}'`)
    return `${this.folder}/${folder}/${name}`
  }

  owner(volume: string): number | undefined {
    const vmid = /(?:^|\/)(\d+)\/(?:vm|base)-[^/]+$/.exec(volume)?.[1]
    return vmid === undefined ? undefined : Number(vmid)
  }

  format(volume: string): ImageFormat {
    return formatOfName(volume) ?? 'raw'
  }

  exists(volume: string): boolean {
    return existsSync(this.path(volume))
  }

  size(volume: string): number {
    return readImageFile(this.path(volume)).size
  }

  list(): ListedVolume[] {
    const images = this.content.includes('images') ? this.images() : []
    const others = Object.entries(folders)
      .filter(([kind]) => this.content.includes(kind))
      .flatMap(([kind, folder]) =>
        namesIn(`${this.folder}/${folder}`).map((name) => ({
          ...this.listed(`${kind}/${name}`, `${this.folder}/${folder}/${name}`),
          content: kind,
          format: kind === 'snippets' ? 'snippet' : (formatOfName(name) ?? kind),
          vmid: undefined,
          size: statSync(`${this.folder}/${folder}/${name}`).size,
        })),
      )
    return [...images, ...others].sort((a, b) => (a.volid < b.volid ? -1 : 1))
  }

  private images(): ListedVolume[] {
    return namesIn(`${this.folder}/images`).flatMap((vmid) =>
      namesIn(`${this.folder}/images/${vmid}`)
        .filter((name) => formatOfName(name) !== undefined)
        .map((name) => this.listed(`${vmid}/${name}`, `${this.folder}/images/${vmid}/${name}`)),
    )
  }

  private listed(volume: string, path: string): ListedVolume {
    const { size, backing } = readImageFile(path)
    const { ctimeMs, blocks } = statSync(path)
    const base = /^\.\.\/(\d+\/base-[^/]+)$/.exec(backing ?? '')?.[1]
    return {
      volid: `${this.name}:${base === undefined ? '' : `${base}/`}${volume}`,
      format: this.format(volume),
      content: 'images',
      size,
      vmid: this.owner(volume),
      ctime: Math.floor(ctimeMs / 1000),
      used: blocks * 512,
      parent: base === undefined ? undefined : `${this.name}:${base}`,
    }
  }

  status(): StorageStatus {
    const { bsize, blocks, bfree, bavail } = statfsSync(this.folder)
    return { total: blocks * bsize, used: (blocks - bfree) * bsize, available: bavail * bsize }
  }

  async allocate(vmid: number, format: ImageFormat, bytes: number, name?: string): Promise<string> {
    const folder = `${this.folder}/images/${vmid}`
    mkdirSync(`${this.folder}/images`, { recursive: true })
    mkdirSync(folder, { recursive: true, mode: 0o740 })
    const file = name ?? `vm-${vmid}-disk-${nextDiskNumber(namesIn(folder), vmid)}.${format}`
    if (existsSync(`${folder}/${file}`)) throw new PveError(`disk image '${folder}/${file}' already exists`)
    const preallocation = {
      raw: ['-o', 'preallocation=off'],
      qcow2: ['-o', 'preallocation=metadata'],
      vmdk: [],
    }
    const size = bytes % 1024 === 0 ? `${bytes / 1024}K` : String(bytes)
    await this.create(
      [...preallocation[format], '-f', format, `${folder}/${file}`, size],
      `${folder}/${file}`,
    )
    chmodSync(`${folder}/${file}`, 0o640)
    return `${vmid}/${file}`
  }

  private async create(argv: readonly string[], path: string): Promise<void> {
    const status = await runAloud(['/usr/bin/qemu-img', 'create', ...argv])
    if (status === 0) return
    rmSync(path, { force: true })
    removeIfEmpty(dirname(path))
    throw new PveError(`unable to create image: qemu-img failed with exit code ${status}`)
  }

  async free(volume: string): Promise<void> {
    const path = this.path(volume)
    if (this.isBase(volume)) await run(['/usr/bin/chattr', '-i', path])
    if (!existsSync(path)) {
      // As Proxmox VE: a disk that is gone already is no error.
      err(`disk image '${path}' does not exist\n`)
      return
    }
    rmSync(path)
    removeIfEmpty(dirname(path))
  }

  async makeBase(volume: string): Promise<string> {
    const from = this.path(volume)
    if (!existsSync(from)) {
      out(`failed to stat '${from}'\n`)
      throw new PveError(`file_size_info on '${volume}' failed`)
    }
    const name = basename(from).replace(/^vm-/, 'base-')
    const to = `${dirname(from)}/${name}`
    if (existsSync(to)) throw new PveError(`file '${to}' already exists`)
    renameSync(from, to)
    chmodSync(to, 0o444)
    // Only root of the machine may; the real one warns, but always is root.
    await run(['/usr/bin/chattr', '+i', to])
    return `${this.owner(volume)}/${name}`
  }

  isBase(volume: string): boolean {
    return /(?:^|\/)base-[^/]+$/.test(volume)
  }

  canLink(volume: string): boolean {
    return this.isBase(volume)
  }

  async linkedClone(volume: string, vmid: number): Promise<string> {
    const folder = `${this.folder}/images/${vmid}`
    mkdirSync(folder, { recursive: true, mode: 0o740 })
    const name = `vm-${vmid}-disk-${nextDiskNumber(namesIn(folder), vmid)}.qcow2`
    const base = `../${volume}`
    const format = this.format(volume)
    out(`clone ${volume}: images, ${name}, ${vmid} to ${name} (base=${base})\n`)
    // Over a raw base there is nothing that could be laid out beforehand.
    const preallocation = format === 'raw' ? 'off' : 'metadata'
    const options = `extended_l2=on,cluster_size=128k,preallocation=${preallocation}`
    await this.create(
      ['-b', base, '-F', format, '-f', 'qcow2', '-o', options, `${folder}/${name}`],
      `${folder}/${name}`,
    )
    chmodSync(`${folder}/${name}`, 0o644)
    return `${volume}/${vmid}/${name}`
  }

  async resize(volume: string, bytes: number): Promise<void> {
    const argv = ['resize', '-f', this.format(volume), this.path(volume), String(bytes)]
    const status = await runAloud(['/usr/bin/qemu-img', ...argv])
    if (status !== 0) throw new PveError(`resize failed: exit code ${status}`)
  }

  async snapshot(volume: string, name: string): Promise<void> {
    await this.imageSnapshot('-c', volume, name)
  }

  async deleteSnapshot(volume: string, name: string): Promise<void> {
    await this.imageSnapshot('-d', volume, name)
  }

  private async imageSnapshot(action: string, volume: string, name: string): Promise<void> {
    if (this.format(volume) !== 'qcow2') throw new PveError("can't snapshot this image format")
    const status = await runAloud(['/usr/bin/qemu-img', 'snapshot', action, name, this.path(volume)])
    if (status !== 0) throw new PveError(`qemu-img snapshot failed: exit code ${status}`)
  }
}

function namesIn(folder: string): string[] {
  return existsSync(folder) ? readdirSync(folder).sort() : []
}

function removeIfEmpty(folder: string): void {
  try {
    rmdirSync(folder)
  } catch {
    // There are other disks in it.
  }
}
