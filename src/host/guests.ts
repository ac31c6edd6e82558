import { lstat, open, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { isAddress } from '../platform/address.ts'
import { SeederError } from '../report/error.ts'

/** A virtual machine or a container of any node of the Proxmox cluster, as its configuration file has it. */
export interface Guest {
  readonly vmid: number
  readonly kind: 'qemu' | 'lxc'
  /** The Proxmox node that it is on. */
  readonly node: string
  /** The current configuration, without snapshots and pending changes. */
  readonly settings: ReadonlyMap<string, string>
  readonly description: string
  /** IPv4 addresses of its cards and their gateways, those of its snapshots too: a rollback brings them back. */
  readonly addresses: readonly string[]
}

/** Where Proxmox VE has the configurations of the whole cluster. */
export const PVE_FOLDER = '/etc/pve'

/** Reads a configuration: `key: value` lines, `#` lines of description, `[section]` lines that end the current one. */
export function parseGuest(text: string, place: Pick<Guest, 'vmid' | 'kind' | 'node'>): Guest {
  const settings = new Map<string, string>()
  const description: string[] = []
  const addresses = new Set<string>()
  let current = true
  for (const line of text.split('\n')) {
    if (/^\[.*\]\s*$/.test(line)) current = false
    if (current && line.startsWith('#')) description.push(decodeDescription(line.slice(1)))
    const [, key = '', value = ''] = /^([a-z][a-z_]*\d*):\s*(.*?)\s*$/.exec(line) ?? []
    if (key === '') continue
    if (current) settings.set(key, value)
    if (/^(ipconfig|net)\d+$/.test(key)) {
      for (const property of ['ip', 'gw']) {
        const address = propertyOf(value, property)?.split('/')[0] ?? ''
        if (isAddress(address)) addresses.add(address)
      }
    }
  }
  return { ...place, settings, description: description.join('\n'), addresses: [...addresses] }
}

/** The value of `key` in `…,key=value,…`. */
export function propertyOf(value: string, key: string): string | undefined {
  return value
    .split(',')
    .find((part) => part.startsWith(`${key}=`))
    ?.slice(key.length + 1)
}

/** A guest's tags. */
export function tagsOf(guest: Guest): ReadonlySet<string> {
  return new Set((guest.settings.get('tags') ?? '').split(/[;, ]+/).filter((tag) => tag !== ''))
}

/** The uuid in smbios1, which a VM keeps and its clones do not have. */
export function uuidOf(guest: Guest): string | undefined {
  return propertyOf(guest.settings.get('smbios1') ?? '', 'uuid')?.toLowerCase()
}

/** Milliseconds to wait for pve-cluster: every upgrade restarts it, and the folder is empty until it is back. */
const CLUSTER_WAIT_MS = 60_000

/**
 * Reads every guest of the cluster. An empty folder means that the cluster file system is not mounted; this waits for
 * it.
 * @param patienceMs how long to wait
 * @throws SeederError where there is no Proxmox VE, or its cluster file system does not come back
 */
export async function readGuests(pve = PVE_FOLDER, patienceMs = CLUSTER_WAIT_MS): Promise<Guest[]> {
  const until = Date.now() + patienceMs
  for (;;) {
    const handle = await open(pve).catch((cause: unknown) => {
      throw unreadable(pve, cause)
    })
    try {
      const guests = await readMounted(`/proc/self/fd/${handle.fd}`)
      if (guests) return guests
    } finally {
      await handle.close()
    }
    if (Date.now() >= until) throw unreadable(pve)
    await sleep(Math.min(500, patienceMs))
  }
}

function unreadable(pve: string, cause?: unknown): SeederError {
  return new SeederError(`The virtual machines of this host cannot be read: there is no ${pve}/nodes`, {
    fix: 'run it on a Proxmox VE host; there, see whether pve-cluster runs',
    cause,
  })
}

/**
 * Reads the guests below a folder that is held open. A file system that is mounted again meanwhile is not the one
 * behind the open folder: `local`, read first and last, makes sure that all of them are of one mount. Undefined when
 * they are not.
 */
async function readMounted(pve: string): Promise<Guest[] | undefined> {
  try {
    await lstat(join(pve, 'local'))
    const guests = await readAll(pve)
    await lstat(join(pve, 'local'))
    return guests
  } catch (error) {
    if (error instanceof Error && 'code' in error && unmountedErrors.includes(String(error.code)))
      return undefined
    throw error
  }
}

/** Errors of a folder whose file system is not mounted, or whose daemon has ended. */
const unmountedErrors = ['ENOENT', 'ENOTCONN', 'ECONNABORTED', 'EIO']

async function readAll(pve: string): Promise<Guest[]> {
  const nodes = await readdir(join(pve, 'nodes'))
  const places = await Promise.all(
    nodes
      .sort()
      .flatMap((node) => [
        guestsIn(join(pve, 'nodes', node, 'qemu-server'), node, 'qemu'),
        guestsIn(join(pve, 'nodes', node, 'lxc'), node, 'lxc'),
      ]),
  )
  return places.flat().sort((a, b) => a.vmid - b.vmid)
}

async function guestsIn(folder: string, node: string, kind: Guest['kind']): Promise<Guest[]> {
  const files = await readdir(folder).catch(ifAbsent([]))
  const guests = await Promise.all(
    files.map(async (file) => {
      const [, vmid] = /^(\d+)\.conf$/.exec(file) ?? []
      if (vmid === undefined) return undefined
      const text = await readFile(join(folder, file), 'utf8').catch(ifAbsent(undefined))
      return text === undefined ? undefined : parseGuest(text, { vmid: Number(vmid), kind, node })
    }),
  )
  return guests.filter((guest) => guest !== undefined)
}

/** A handler that returns `value` for a file that is gone: others may remove one at any moment. */
function ifAbsent<T>(value: T): (error: unknown) => T {
  return (error) => {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return value
    throw error
  }
}

/** A line of description, which Proxmox VE percent-encodes. */
function decodeDescription(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
