import { SeederError } from '../report/error.ts'
import { type AddressRange, rangeContains } from './address.ts'
import { type Platform, type RoleName, roleNames, type Zone } from './schema.ts'

/** A zone of the platform by its name. */
export function zoneOf(platform: Platform, name: string): Zone {
  const zone = platform.zones[name]
  if (!zone) throw new SeederError(`the platform file has no zone ${name}`)
  return zone
}

/** What a card in a zone has beside its bridge, in the words of `qm`: `tag=20`, `mtu=1400`. */
export function cardOptions({ vlan, mtu }: Pick<Zone, 'vlan' | 'mtu'>): string[] {
  return [vlan === undefined ? [] : `tag=${vlan}`, mtu === undefined ? [] : `mtu=${mtu}`].flat()
}

/** `24` of `10.0.0.0/24`. */
export function prefixOf(zone: Zone): string {
  return zone.cidr.split('/')[1] ?? '32'
}

/**
 * The addresses for machines of a role in a zone: the role's own part of the range, or all of it. Undefined with DHCP.
 */
export function roleRange(platform: Platform, role: RoleName, zone: string): AddressRange | undefined {
  const range = platform.zones[zone]?.range
  return range && (platform.roles[role].addresses[zone] ?? range)
}

/**
 * The zone of a role's default route: the one that the platform file names, else the first with a gateway, else the first
 * where DHCP gives one. Undefined for machines without a default route.
 */
export function defaultRouteZone(platform: Platform, role: RoleName): string | undefined {
  const { zones, 'default-route': named } = platform.roles[role]
  const has = (key: 'gateway' | 'range') => (name: string) => platform.zones[name]?.[key] !== undefined
  return named ?? zones.find(has('gateway')) ?? zones.find((name) => !has('range')(name))
}

/**
 * ROUTES of a role's machines: `eth0=10.0.0.0/26 eth1=192.168.3.0/24,dhcp,default`. Empty for a role of which no card has a
 * gateway.
 */
export function routesOf(platform: Platform, role: RoleName): string {
  const routed = defaultRouteZone(platform, role)
  if (routed === undefined) return ''
  return platform.roles[role].zones
    .map((name, card) => {
      const zone = zoneOf(platform, name)
      const gateway = zone.range === undefined ? 'dhcp' : zone.gateway
      return [`eth${card}=${zone.cidr}`, gateway, name === routed ? 'default' : undefined]
        .filter((part) => part !== undefined)
        .join(',')
    })
    .join(' ')
}

/** Roles whose machines may have the same addresses in a zone, so that no firewall there can distinguish them. */
export interface SharedRange {
  zone: string
  roles: RoleName[]
}

/** Every zone in which roles share addresses, in the order of the platform file. */
export function sharedRanges(platform: Platform): SharedRange[] {
  return Object.keys(platform.zones).flatMap((zone) => {
    const here = roleNames.filter((role) => platform.roles[role].zones.includes(zone))
    const roles = here.filter((role) =>
      here.some((other) => other !== role && shareAddresses(platform, role, other, zone)),
    )
    return roles.length > 0 ? [{ zone, roles }] : []
  })
}

function shareAddresses(platform: Platform, role: RoleName, other: RoleName, zone: string): boolean {
  const [a, b] = [roleRange(platform, role, zone), roleRange(platform, other, zone)]
  return a !== undefined && b !== undefined && overlap(a, b)
}

/** Whether two ranges have an address in common. */
export function overlap(a: AddressRange, b: AddressRange): boolean {
  return rangeContains(a, b.first) || rangeContains(b, a.first)
}
