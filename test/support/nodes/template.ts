import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { execa } from 'execa'
import type { PveHost } from '../../stand-ins/proxmox/host.ts'

/** A template that is made by hand, as `scripts/deploy.sh` would make it. */
export interface TemplatePlan {
  readonly vmid: number
  readonly image: string
  readonly version: string
  /** On the machine. */
  readonly disk: string
  readonly storage?: string
}

/** An empty disk, for tests in which nothing boots. */
export async function emptyDisk(folder: string): Promise<string> {
  const disk = join(folder, 'empty.qcow2')
  await execa('qemu-img', ['create', '-q', '-f', 'qcow2', disk, '64M'])
  return disk
}

/** Makes a template of ours on a host, the current one of its image. */
export async function makeTemplate(host: PveHost, plan: TemplatePlan): Promise<void> {
  const { vmid, image, version, disk, storage = 'local' } = plan
  const id = String(vmid)
  const disks = [`--scsi0`, `${storage}:0,import-from=${disk},discard=on,iothread=1`]
  await must(host, [
    'qm',
    'create',
    id,
    '--name',
    `${image}-template`,
    '--ostype',
    'l26',
    '--machine',
    'q35',
    '--bios',
    'ovmf',
    '--cores',
    '2',
    '--memory',
    '1024',
    '--scsihw',
    'virtio-scsi-single',
    '--agent',
    'enabled=1',
    '--serial0',
    'socket',
    '--ciupgrade',
    '0',
    '--boot',
    'order=scsi0',
    '--efidisk0',
    `${storage}:0,efitype=4m,pre-enrolled-keys=0`,
    ...disks,
    '--ide2',
    `${storage}:cloudinit`,
    '--net0',
    'virtio,bridge=vmbr13,firewall=1',
    '--tags',
    `seeder;${image};current`,
  ])
  await must(host, ['qm', 'template', id])
  const text = (await host.configs()).get(vmid) ?? ''
  const uuid = /^smbios1: .*uuid=([0-9a-f-]+)/m.exec(text)?.[1] ?? ''
  const folder = host.path('/var/lib/seeder/templates')
  await mkdir(folder, { recursive: true })
  const values = {
    VMID: id,
    IMAGE: image,
    VERSION: version,
    STORAGE: storage,
    RAW_SHA256: '0'.repeat(64),
    UUID: uuid,
  }
  const lines = Object.entries({ ...values, PROMOTED: id }).map(([key, value]) => `${key}=${value}\n`)
  await writeFile(join(folder, id), lines.join(''))
}

/** Runs a command on a host, which has to succeed. What it printed. */
export async function must(host: PveHost, argv: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await host.run(argv)
  if (code !== 0) throw new Error(`${argv.join(' ')} ended with ${code}: ${stderr}${stdout}`)
  return stdout
}

/** A file of a host, or undefined. */
export async function hostFile(host: PveHost, path: string): Promise<string | undefined> {
  return readFile(host.path(path), 'utf8').catch(() => undefined)
}
