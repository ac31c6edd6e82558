import { z } from 'zod'
import { quoteValue } from '../report/schema-issue.ts'
import { isAddress, isNetwork, networkFix } from './address.ts'

/** The roles of machines; see roles.ts. */
export const roleNames = ['haproxy', 'etcd', 'control-plane', 'worker'] as const
export type RoleName = (typeof roleNames)[number]

/** Words of `from` and `to` that are neither a role nor a zone. */
export const reservedWords = ['any', 'pods', 'services', 'dns', 'ntp'] as const

export const protocolNames = ['tcp', 'udp', 'icmp', 'vrrp', 'all'] as const

/** Two names fit in the 128 characters of an nftables comment. */
const name = z.string().regex(/^[a-z][a-z0-9-]{0,49}$/, {
  error: (issue) =>
    `found ${quoteValue(issue.input)}; name it with lower-case letters, digits and hyphens, at most 50`,
})

const singleLine = z.string().regex(/^[^\r\n]+$/, { error: 'found a line break or nothing; write one line' })

const address = textThat(isAddress, () => 'write an IPv4 address such as 10.0.0.51')

const network = textThat(isNetwork, networkFix)

const addressRange = z.string().transform((text, context) => {
  const [first, last, ...rest] = text.split('-')
  if (first && last && rest.length === 0 && isAddress(first) && isAddress(last)) return { first, last }
  context.addIssue(`found ${quoteValue(text)}; write two IPv4 addresses such as 10.0.0.1-10.0.0.50`)
  return z.NEVER
})

const interfaceName = textThat(
  (text) => /^[a-zA-Z][a-zA-Z0-9_.-]{0,14}$/.test(text),
  () => 'write the name of a network interface such as vmbr11',
)

const bridgeName = textThat(
  (text) => /^[a-zA-Z][a-zA-Z0-9_-]{0,14}$/.test(text),
  (text) => {
    const [, bridge, tag] = /^([\w-]+)\.(\d+)$/.exec(text) ?? []
    return bridge && tag
      ? `that is a VLAN interface, not a bridge; write \`bridge: ${bridge}\` with \`vlan: ${Number(tag)}\``
      : 'write the name of a bridge such as vmbr11'
  },
)

const hostName = textThat(
  (text) => isAddress(text) || isHostName(text),
  () => 'write an IPv4 address or a host name',
)

/** As `is_name` of images/common/tree/usr/lib/seeder/node-env, which checks it on a node. */
function isHostName(text: string): boolean {
  const labels = text.split('.')
  if (text.length > 253 || /^[0-9.]+$/.test(text)) return false
  return labels.every((label) => /^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$/.test(label))
}

/** A port or a range of ports, both ends included. */
const portRange = z.union([z.number(), z.string()]).transform((value, context) => {
  const [first, last = first, ...rest] = String(value)
    .split('-')
    .map((part) => (/^\d+$/.test(part) ? Number(part) : Number.NaN))
  const ok = (port: number | undefined): port is number => port !== undefined && port >= 1 && port <= 65535
  if (!ok(first) || !ok(last) || rest.length > 0) {
    context.addIssue(`found ${quoteValue(value)}; give a port from 1 to 65535 or a range such as 30000-32767`)
    return z.NEVER
  }
  if (first > last) {
    context.addIssue(`found ${quoteValue(value)}, which is reversed; write ${last}-${first}`)
    return z.NEVER
  }
  return { first, last }
})

const zone = z.strictObject({
  /** Its name for people. */
  title: singleLine,
  bridge: bridgeName,
  /** The 802.1Q tag of its frames on the bridge. Without it they have none. */
  vlan: z.int().min(1).max(4094).optional(),
  /** The MTU of its cards: at least what IPv6 needs, at most what `qm` takes. Without it, Proxmox VE's default. */
  mtu: z.int().min(1280).max(65520).optional(),
  cidr: network,
  /** The addresses that nodes get; without it they use DHCP. */
  range: addressRange.optional(),
  /** The Proxmox host's own address on the bridge. */
  host: address.optional(),
  gateway: address.optional(),
})

const role = z.strictObject({
  /** Zone names, in the order of the network cards. */
  zones: z.array(z.string()).min(1),
  /** By zone name: the part of the zone's range for machines of this role alone. Without it, the whole range. */
  addresses: z.record(z.string(), addressRange).default({}),
  /** The zone whose gateway is the default route. By default the first one with a gateway, else the first with DHCP. */
  'default-route': z.string().optional(),
  cores: z.int().min(1).max(512),
  /** MiB. */
  memory: z.int().min(512),
  /** GiB. */
  disk: z.int().min(4),
})

const flow = z.strictObject({
  /** Role names, zone names, CIDRs, `pods`, `any`. */
  from: z.array(z.string()).min(1),
  /** Role names; `pods` and `services`, which are reached through a node; `dns` and `ntp`. */
  to: z.array(z.string()).min(1),
  protocols: z.array(z.enum(protocolNames)).min(1),
  /** Only with tcp and udp. */
  ports: z.array(portRange).min(1).optional(),
  why: singleLine,
  /** A disabled flow is only documentation: no port is opened for it. */
  enabled: z.boolean().default(true),
})

const vip = z.strictObject({ role: z.enum(roleNames), zone: z.string(), address })

/** platform.yaml. check.ts checks the fields against each other. */
export const platformSchema = z.strictObject({
  zones: z.record(name, zone),
  dns: z.array(address).min(1),
  ntp: z.array(hostName).min(1),
  vips: z.record(name, vip),
  roles: z.record(z.enum(roleNames), role),
  cluster: z.strictObject({
    /** The range of the pods, and the interfaces of their packets, from this node and from others. */
    pods: z.strictObject({
      cidr: network,
      interface: z
        .union([interfaceName, z.array(interfaceName).min(1)])
        .transform((names) => (typeof names === 'string' ? [names] : names)),
    }),
    services: z.strictObject({ cidr: network }),
    nodePorts: portRange,
  }),
  flows: z.record(name, flow),
  releases: z
    .strictObject({
      /** The number of builders that have to sign the same disk before a version is promoted. */
      builders: z.int().min(1).max(9).default(1),
    })
    .default({ builders: 1 }),
})

/** A checked platform file: every name in it exists. Only `loadPlatform` and `parsePlatform` make it. */
export type Platform = z.output<typeof platformSchema>
export type Zone = z.output<typeof zone>
export type Flow = z.output<typeof flow>
export type PortRange = z.output<typeof portRange>

/** `30000-32767`, or one port. */
export function formatPort({ first, last }: PortRange): string {
  return first === last ? String(first) : `${first}-${last}`
}

/** `text` as a role name, or undefined. */
export function asRole(text: string): RoleName | undefined {
  return roleNames.find((role) => role === text)
}

function textThat(accepts: (text: string) => boolean, fix: (text: string) => string) {
  return z.string().refine(accepts, {
    error: (issue) => `found ${quoteValue(issue.input)}; ${fix(String(issue.input))}`,
  })
}
