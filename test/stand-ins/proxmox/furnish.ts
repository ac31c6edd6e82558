import { execFile } from 'node:child_process'
import { chmod, copyFile, mkdir, rm, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { controlMount, type Layout, layeredFolders, ownFolders } from './layout.ts'

/** A storage as `storage.cfg` has it: its type and its properties in their order. */
export interface StorageDefinition {
  readonly name: string
  readonly type: 'dir' | 'lvmthin' | 'zfspool'
  readonly properties: Readonly<Record<string, string>>
}

/** The storages of an installed Proxmox VE, one that has no room for images, and one on ZFS. */
export const defaultStorages: readonly StorageDefinition[] = [
  {
    name: 'local',
    type: 'dir',
    properties: { path: '/var/lib/vz', content: 'iso,vztmpl,backup,import,snippets,images,rootdir' },
  },
  {
    name: 'local-lvm',
    type: 'lvmthin',
    properties: { thinpool: 'data', vgname: 'pve', content: 'rootdir,images' },
  },
  {
    name: 'local-zfs',
    type: 'zfspool',
    properties: { pool: 'rpool/data', content: 'images,rootdir', sparse: '1' },
  },
  { name: 'iso-only', type: 'dir', properties: { path: '/var/lib/iso-only', content: 'iso' } },
]

const programs = [
  '/usr/sbin/qm',
  '/usr/sbin/pvesm',
  '/usr/bin/pvesh',
  '/usr/bin/pveversion',
  '/usr/sbin/lvs',
  '/usr/sbin/zfs',
]

/** Fills the state folder of a new host. */
export async function furnish(
  layout: Layout,
  nodes: readonly string[],
  storages: readonly StorageDefinition[],
): Promise<void> {
  for (const path of ownFolders) await mkdir(layout.own(path), { recursive: true })
  for (const path of layeredFolders) {
    await mkdir(layout.upper(path), { recursive: true })
    await mkdir(layout.work(path), { recursive: true })
  }
  await mkdir(layout.control, { recursive: true })
  await mkdir(layout.devices, { recursive: true })
  await promisify(execFile)('mkfifo', ['-m', '600', layout.power])
  await furnishLayers(layout, nodes[0] ?? '')
  await furnishCluster(layout, nodes, storages)
  for (const path of programs) await furnishProgram(layout, path)
  await furnishTouch(layout)
}

async function furnishLayers(layout: Layout, node: string): Promise<void> {
  // Folders of the machine's root cannot be written to by another user's host: its own lie over them.
  const { stdout } = await promisify(execFile)('find', [
    '/etc',
    '-xdev',
    '-type',
    'd',
    '-printf',
    '%P\\0',
  ]).catch(
    // Some may not be read, which they may not be in the host either.
    (error: { stdout: string }) => error,
  )
  for (const folder of stdout.split('\0').filter((one) => one !== '')) {
    await mkdir(join(layout.upper('/etc'), folder), { recursive: true })
  }
  const texts = {
    '/etc/hostname': `${node}\n`,
    '/etc/hosts': `127.0.0.1 localhost\n192.168.3.61 ${node}.example.internal ${node}\n`,
    '/etc/resolv.conf': 'search example.internal\nnameserver 10.99.0.53\n',
  }
  for (const [path, text] of Object.entries(texts)) await write(layout, path, text)
  const folders = ['/etc/pve', '/var/lib/vz', '/var/lib/pve-manager', '/var/log/pve/tasks']
  for (const path of folders) await mkdir(stored(layout, path), { recursive: true })
  // What an overlay needs to mount upon.
  for (const path of ['/etc/pve', '/var/lib/vz']) {
    await mkdir(join(layout.upper(dirname(path)), path.slice(dirname(path).length)), { recursive: true })
  }
}

async function furnishCluster(
  layout: Layout,
  nodes: readonly string[],
  storages: readonly StorageDefinition[],
): Promise<void> {
  const cluster = layout.own('/etc/pve')
  for (const node of nodes) await mkdir(join(cluster, 'nodes', node, 'qemu-server'), { recursive: true })
  await mkdir(join(cluster, 'priv/lock'), { recursive: true, mode: 0o700 })
  await symlink(`nodes/${nodes[0]}`, join(cluster, 'local'))
  await symlink(`nodes/${nodes[0]}/qemu-server`, join(cluster, 'qemu-server'))
  await writeFile(join(cluster, 'storage.cfg'), storages.map(storageSection).join('\n'))
  for (const { type, properties } of storages) {
    if (type === 'dir' && properties.path !== undefined) {
      await mkdir(stored(layout, properties.path), { recursive: true })
    }
  }
}

/** A storage's section of `storage.cfg`. */
export function storageSection({ name, type, properties }: StorageDefinition): string {
  const lines = Object.entries(properties).map(([key, value]) => `\t${key} ${value}\n`)
  return `${type}: ${name}\n${lines.join('')}`
}

async function furnishProgram(layout: Layout, path: string): Promise<void> {
  const main = join(import.meta.dirname, 'program/main.ts')
  const cache = join(import.meta.dirname, '../../../node_modules/.cache/stand-in')
  const script = [
    '#!/bin/sh',
    'unset NODE_OPTIONS',
    `NODE_COMPILE_CACHE='${cache}' exec '${process.execPath}' '${main}' ${path} "$@"`,
    '',
  ]
  await write(layout, path, script.join('\n'))
  await chmod(stored(layout, path), 0o755)
}

// Two minutes, after which pmxcfs lets a lock go that nobody has touched.
const lockSeconds = 120

/**
 * Setting the time of a folder in /etc/pve/priv/lock to zero makes pmxcfs remove it, when the lock has run
 * out, and does nothing otherwise. An ordinary folder would get that time, and so look as if it had run out.
 */
async function furnishTouch(layout: Layout): Promise<void> {
  await mkdir(join(layout.control, 'machine'))
  await copyFile('/usr/bin/touch', join(layout.control, 'machine/touch'))
  const script = [
    '#!/bin/sh',
    'case " $* " in',
    '*" -d @0 "*/etc/pve/priv/lock/*)',
    '  for lock; do :; done',
    '  began=$(stat -c %Y "$lock" 2>/dev/null) || exit 1',
    `  [ $(($(date +%s) - began)) -le ${lockSeconds} ] || rmdir "$lock"`,
    '  exit 0 ;;',
    'esac',
    `exec ${controlMount}/machine/touch "$@"`,
    '',
  ]
  await write(layout, '/usr/bin/touch', script.join('\n'))
  await chmod(stored(layout, '/usr/bin/touch'), 0o755)
}

async function write(layout: Layout, path: string, text: string): Promise<void> {
  const file = stored(layout, path)
  await rm(file, { force: true })
  await writeFile(file, text)
}

function stored(layout: Layout, path: string): string {
  return layout.stored(path) ?? path
}
