import { z } from 'zod'
import { formatRange, freeRanges, rangeSize } from './address.ts'
import { sourceAddresses, sourceOf } from './flows.ts'
import { asRole, formatPort, type Platform, protocolNames, type RoleName, roleNames } from './schema.ts'

/** One zone as `platform network` shows it. Ranges are `first-last` texts. */
export const networkRowSchema = z.object({
  zone: z.string(),
  title: z.string(),
  bridge: z.string(),
  /** The tag of its frames on the bridge. */
  vlan: z.int().nullable(),
  mtu: z.int().nullable(),
  cidr: z.string(),
  range: z.string().nullable(),
  host: z.string().nullable(),
  gateway: z.string().nullable(),
  /** Addresses outside the node range without VIP, host or gateway. Empty where DHCP assigns the addresses. */
  free: z.array(z.string()),
  vips: z.array(z.object({ name: z.string(), address: z.string(), role: z.enum(roleNames) })),
  roles: z.array(z.enum(roleNames)),
})
export type NetworkRow = z.output<typeof networkRowSchema>

/** One flow to one role (or to the name servers and time servers) as `platform ports` shows it. */
export const portRowSchema = z.object({
  flow: z.string(),
  to: z.string(),
  from: z.array(z.object({ name: z.string(), addresses: z.string() })),
  protocols: z.array(z.enum(protocolNames)),
  ports: z.array(z.string()),
  enabled: z.boolean(),
  why: z.string(),
})
export type PortRow = z.output<typeof portRowSchema>

/** The zones in the order of the platform file; with `role`, its zones in the order of its network cards. */
export function networkRows(platform: Platform, role?: RoleName): NetworkRow[] {
  const names = role ? platform.roles[role].zones : Object.keys(platform.zones)
  return names.flatMap((name) => {
    const zone = platform.zones[name]
    if (!zone) return []
    const vips = Object.entries(platform.vips)
      .filter(([, vip]) => vip.zone === name)
      .map(([vipName, { address, role: holder }]) => ({ name: vipName, address, role: holder }))
    const taken = [zone.host, zone.gateway, ...vips.map(({ address }) => address)].filter(
      (address) => address !== undefined,
    )
    return {
      zone: name,
      title: zone.title,
      bridge: zone.bridge,
      vlan: zone.vlan ?? null,
      mtu: zone.mtu ?? null,
      cidr: zone.cidr,
      range: zone.range ? formatRange(zone.range) : null,
      host: zone.host ?? null,
      gateway: zone.gateway ?? null,
      free: zone.range ? freeRanges(zone.cidr, [zone.range, ...taken]).map(formatRange) : [],
      vips,
      roles: roleNames.filter((known) => platform.roles[known].zones.includes(name)),
    }
  })
}

/** The port matrix by receiving role, in the order of the platform file; with `role`, what it receives. */
export function portRows(platform: Platform, role?: RoleName): PortRow[] {
  const targets = role ? [role] : [...roleNames, 'pods', 'services', 'dns', 'ntp']
  return targets.flatMap((to) =>
    Object.entries(platform.flows)
      .filter(([, flow]) => flow.to.includes(to))
      .map(([name, flow]) => ({
        flow: name,
        to,
        from: flow.from.map((word) => ({
          name: word,
          addresses: sourceAddresses(sourceOf(platform, word, asRole(to))),
        })),
        protocols: flow.protocols,
        ports: (flow.ports ?? []).map(formatPort),
        enabled: flow.enabled,
        why: flow.why,
      })),
  )
}

/** Header and cells of the network table. */
export function networkTable(rows: readonly NetworkRow[]): [string[], string[][]] {
  const header = ['zone', 'bridge', 'cidr', 'nodes', 'host', 'gateway', 'vips', 'free for vips', 'roles']
  const cells = rows.map((row) => [
    row.zone,
    bridgeText(row),
    row.cidr,
    row.range ?? 'DHCP',
    row.host ?? '-',
    row.gateway ?? '-',
    row.vips.map(({ name, address }) => `${name} ${address}`).join(', ') || '-',
    row.free.join(', ') || '-',
    row.roles.join(', ') || '-',
  ])
  return [header, cells]
}

/** `vmbr0, vlan 20, mtu 1400`: the two are rare, and the table is wide. */
function bridgeText({ bridge, vlan, mtu }: NetworkRow): string {
  return [bridge, vlan === null ? [] : `vlan ${vlan}`, mtu === null ? [] : `mtu ${mtu}`].flat().join(', ')
}

/** Header and cells of the port table. A disabled flow is marked `(off)`. */
export function portTable(rows: readonly PortRow[]): [string[], string[][]] {
  const header = ['to', 'from', 'protocol', 'ports', 'flow', 'why']
  const cells = rows.map((row) => [
    row.to,
    row.from.map(({ name }) => name).join(', '),
    row.protocols.join('+'),
    row.ports.join(', ') || '-',
    row.enabled ? row.flow : `${row.flow} (off)`,
    row.why,
  ])
  return [header, cells]
}

/** The number of addresses for nodes in all zones. */
export function nodeAddressCount(platform: Platform): number {
  return Object.values(platform.zones).reduce((sum, { range }) => sum + (range ? rangeSize(range) : 0), 0)
}
