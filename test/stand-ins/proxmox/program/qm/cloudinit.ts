import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { drivesOf, isCloudInit, volumeOf } from '../drives.ts'
import { PveError } from '../failure.ts'
import type { Call } from '../getopt.ts'
import { out, say } from '../output.ts'
import { run } from '../processes.ts'
import { splitProperties } from '../property-string.ts'
import { placeOf } from '../storage/registry.ts'
import { loadConfig } from '../vm-config.ts'
import { cicustomSchema, cloudInitOptions, ipconfigSchema, netSchema } from '../vm-options.ts'

type Values = ReadonlyMap<string, string>

/** The user data that Proxmox VE generates. */
export function userData(vmid: number, values: Values): string {
  const name = values.get('name') ?? `VM${vmid}`
  const domain = values.get('searchdomain')?.split(/[\s,;]+/)[0]
  const fqdn = name.includes('.') || domain === undefined ? name : `${name}.${domain}`
  const user = values.get('ciuser')
  const password = values.get('cipassword')
  const keys = decodeURIComponent(values.get('sshkeys') ?? '')
    .split('\n')
    .filter((key) => /\S/.test(key))
  const lines = [
    '#cloud-config',
    `hostname: ${name.split('.')[0]}`,
    'manage_etc_hosts: true',
    `fqdn: ${fqdn}`,
    ...(user === undefined ? [] : [`user: ${user}`]),
    ...(user === 'root' ? ['disable_root: False'] : []),
    ...(password === undefined ? [] : [`password: ${password}`]),
    ...(keys.length === 0 ? [] : ['ssh_authorized_keys:', ...keys.map((key) => `  - ${key}`)]),
    'chpasswd:',
    '  expire: False',
    ...(user === 'root' ? [] : ['users:', '  - default']),
    ...(values.get('ciupgrade') === '0' ? [] : ['package_upgrade: true']),
  ]
  return `${lines.join('\n')}\n`
}

/** The network configuration that Proxmox VE generates: version 1, cards by their hardware addresses. */
export function networkConfig(values: Values): string {
  const cards = [...values.keys()]
    .flatMap((key) => /^net(\d+)$/.exec(key)?.[1] ?? [])
    .map(Number)
    .sort((a, b) => a - b)
  const { servers, domains } = resolver(values)
  const lines = [
    'version: 1',
    'config:',
    ...cards.flatMap((index) => [
      '    - type: physical',
      `      name: eth${index}`,
      `      mac_address: '${macOf(values.get(`net${index}`) ?? '')}'`,
      '      subnets:',
      ...subnets(values.get(`ipconfig${index}`) ?? ''),
    ]),
    '    - type: nameserver',
    ...list('address', servers),
    ...list('search', domains),
  ]
  return `${lines.join('\n')}\n`
}

function list(key: string, values: readonly string[]): string[] {
  return values.length === 0 ? [] : [`      ${key}:`, ...values.map((value) => `      - '${value}'`)]
}

function macOf(value: string): string {
  const properties = splitProperties(value, netSchema)
  return typeof properties === 'string' ? '' : (properties.get('macaddr') ?? '').toLowerCase()
}

function subnets(value: string): string[] {
  const split = splitProperties(value, ipconfigSchema)
  const properties = typeof split === 'string' ? new Map<string, string>() : split
  const ip6 = properties.get('ip6')
  const ip = properties.get('ip') ?? (ip6 === undefined ? 'dhcp' : undefined)
  const gateway = (key: string) => (properties.has(key) ? [`        gateway: '${properties.get(key)}'`] : [])
  return [
    ...(ip === 'dhcp' ? ['      - type: dhcp4'] : []),
    ...(ip === undefined || ip === 'dhcp' ? [] : [...staticSubnet(ip), ...gateway('gw')]),
    ...(ip6 === 'dhcp' ? ['      - type: dhcp6'] : []),
    ...(ip6 === 'auto' ? ['      - type: ipv6_slaac'] : []),
    ...(ip6 === undefined || ip6 === 'dhcp' || ip6 === 'auto'
      ? []
      : ['      - type: static6', `        address: '${ip6}'`, ...gateway('gw6')]),
  ]
}

function staticSubnet(cidr: string): string[] {
  const [address = '', prefix] = cidr.split('/')
  const mask = (0xffffffff << (32 - Number(prefix))) >>> 0
  const netmask = [24, 16, 8, 0].map((shift) => (mask >>> shift) & 255).join('.')
  return ['      - type: static', `        address: '${address}'`, `        netmask: '${netmask}'`]
}

/** What the configuration says, and for what it does not say the host's own. */
function resolver(values: Values): { servers: string[]; domains: string[] } {
  const host = readFileSync('/etc/resolv.conf', 'utf8')
  const split = (text: string | undefined) => text?.split(/[\s,;]+/).filter((one) => one !== '')
  return {
    servers: split(values.get('nameserver')) ?? hostValues(host, 'nameserver'),
    domains: split(values.get('searchdomain')) ?? hostValues(host, 'search'),
  }
}

function hostValues(text: string, key: string): string[] {
  return text
    .split('\n')
    .filter((line) => line.startsWith(`${key} `))
    .flatMap((line) => line.split(/\s+/).slice(1))
}

/** The files of the drive: what is generated, or the snippets of `cicustom`. */
function driveFiles(vmid: number, values: Values): Record<string, string> {
  const custom = splitProperties(values.get('cicustom') ?? '', cicustomSchema)
  const snippet = (key: string) => {
    const volid = typeof custom === 'string' ? undefined : custom.get(key)
    return volid === undefined ? undefined : readSnippet(volid)
  }
  const user = snippet('user') ?? userData(vmid, values)
  const network = snippet('network') ?? networkConfig(values)
  return {
    'user-data': user,
    'network-config': network,
    'meta-data': snippet('meta') ?? metaData(user, network),
    'vendor-data': snippet('vendor') ?? '',
  }
}

function readSnippet(volid: string): string {
  const { storage, volume } = placeOf(volid)
  if (!storage.exists(volume)) throw new PveError(`volume '${volid}' does not exist`, 2)
  return readFileSync(storage.path(volume), 'utf8')
}

function metaData(user: string, network: string): string {
  return `instance-id: ${createHash('sha1')
    .update(user + network)
    .digest('hex')}\n`
}

/**
 * Writes the drive of a VM that has one.
 * @throws PveError when a snippet is missing
 */
export async function writeCloudInitDrive(vmid: number, values: Values): Promise<void> {
  const drive = drivesOf(values).find(isCloudInit)
  if (drive === undefined) return
  const files = driveFiles(vmid, values)
  const { storage, volume } = placeOf(volumeOf(drive))
  if (!storage.exists(volume)) throw new PveError(`volume '${volumeOf(drive)}' does not exist`, 2)
  say('generating cloud-init ISO')
  const folder = mkdtempSync('/run/cloudinit-')
  try {
    for (const [name, content] of Object.entries(files)) writeFileSync(`${folder}/${name}`, content)
    const iso = `${folder}.iso`
    const argv = ['-quiet', '-iso-level', '3', '-R', '-V', 'cidata', '-o', iso, folder]
    const made = await run(['/usr/bin/genisoimage', ...argv])
    if (made.status !== 0) throw new PveError(`genisoimage failed: ${made.stderr}`)
    // As large as the drive, so that nothing of an earlier, larger one is left.
    truncateSync(iso, storage.size(volume))
    const format = storage.format(volume)
    const copy = ['/usr/bin/qemu-img', 'convert', '-n', '-f', 'raw', '-O', format, iso, storage.path(volume)]
    const copied = await run(copy)
    if (copied.status !== 0) throw new PveError(`writing cloud-init drive failed: ${copied.stderr}`)
  } finally {
    rmSync(folder, { recursive: true, force: true })
    rmSync(`${folder}.iso`, { force: true })
  }
}

/** `qm cloudinit dump`: what is generated, whatever `cicustom` says. */
export async function dump({ values: given }: Call): Promise<void> {
  const vmid = Number(given.get('vmid'))
  const { values } = loadConfig(vmid)
  const user = userData(vmid, values)
  const network = networkConfig(values)
  const type = given.get('type')
  out(`${type === 'user' ? user : type === 'network' ? network : metaData(user, network)}\n`)
}

/** `qm cloudinit update`. */
export async function update({ values: given }: Call): Promise<void> {
  const vmid = Number(given.get('vmid'))
  await writeCloudInitDrive(vmid, loadConfig(vmid).values)
}

/** `qm cloudinit pending`. */
export async function pendingCloudInit({ values: given }: Call): Promise<void> {
  const { values } = loadConfig(Number(given.get('vmid')))
  for (const option of cloudInitOptions) {
    const value = values.get(option)
    if (value !== undefined) say(`cur ${option}: ${option === 'cipassword' ? '**********' : value}`)
  }
}
