import { overlapCidr } from 'cidr-tools'
import { suggestion } from '../report/schema-issue.ts'
import type { YamlProblem } from '../yaml/yaml-file.ts'
import {
  type AddressRange,
  addressNumber,
  formatRange,
  freeRanges,
  isNetwork,
  networkFix,
  networkRange,
  rangeContains,
} from './address.ts'
import { roles } from './roles.ts'
import {
  asRole,
  type Flow,
  formatPort,
  type Platform,
  reservedWords,
  roleNames,
  type Zone,
} from './schema.ts'
import { overlap } from './zones.ts'

/** All contradictions in a platform file, by place. An empty list means that the file is good. */
export function checkPlatform(platform: Platform): YamlProblem[] {
  return [
    ...Object.entries(platform.zones).flatMap(([name, zone]) => checkZone(name, zone)),
    ...checkOverlaps(platform),
    ...checkBridges(platform),
    ...checkVips(platform),
    ...checkRoles(platform),
    ...checkRoleAddresses(platform),
    ...checkDefaultRoutes(platform),
    ...Object.entries(platform.flows).flatMap(([name, flow]) => checkFlow(platform, name, flow)),
  ]
}

function checkZone(name: string, zone: Zone): YamlProblem[] {
  const problems: YamlProblem[] = []
  const add = (field: string, found: string, fix: string) =>
    problems.push({ path: ['zones', name, field], found: `zones.${name}.${field}: ${found}`, fix })
  const usable = usableRange(zone.cidr)

  const word = [...roleNames, ...reservedWords].find((taken) => taken === name)
  if (word) {
    const found = `zones.${name}: the name ${word} already means something in flows`
    problems.push({ path: ['zones', name], found, fix: 'give the zone another name', onKey: true })
  }
  if (zone.range) {
    const problem = rangeProblem(zone.range, usable, zone.cidr)
    if (problem) add('range', problem.found, problem.fix)
  }
  for (const field of ['host', 'gateway'] as const) {
    const address = zone[field]
    if (address !== undefined && !rangeContains(usable, address)) {
      add(field, `found ${address}, which is not inside ${zone.cidr}`, `choose one of ${formatRange(usable)}`)
    }
  }
  return problems
}

function checkDefaultRoutes(platform: Platform): YamlProblem[] {
  return roleNames.flatMap((role): YamlProblem[] => {
    const { zones, 'default-route': named } = platform.roles[role]
    if (named === undefined) return []
    const place = ['roles', role, 'default-route']
    const problem = (found: string, fix: string) => [
      { path: place, found: `${place.join('.')}: ${found}`, fix },
    ]
    if (!zones.includes(named)) {
      return problem(`found ${named}, where no ${role} stands`, `use one of ${zones.join(', ')}`)
    }
    const zone = platform.zones[named]
    if (zone && zone.gateway === undefined && zone.range !== undefined) {
      return problem(
        `found ${named}, which has no gateway`,
        `give zones.${named} a gateway, or choose another zone`,
      )
    }
    return []
  })
}

function checkOverlaps(platform: Platform): YamlProblem[] {
  const networks = [
    ...Object.entries(platform.zones).map(([name, { cidr }]) => ({ path: ['zones', name, 'cidr'], cidr })),
    { path: ['cluster', 'pods', 'cidr'], cidr: platform.cluster.pods.cidr },
    { path: ['cluster', 'services', 'cidr'], cidr: platform.cluster.services.cidr },
  ]
  return networks.flatMap(({ path, cidr }, index) => {
    const other = networks.slice(0, index).find((earlier) => overlapCidr(earlier.cidr, cidr))
    if (!other) return []
    const found = `${path.join('.')}: found ${cidr}, which overlaps ${other.cidr} of ${other.path.join('.')}`
    return [{ path, found, fix: 'give each its own addresses' }]
  })
}

/** The VLAN of frames without a tag on a VLAN-aware bridge. */
const UNTAGGED_VLAN = 1

/** Zones may share a bridge, but each VLAN on it is the network of one zone. */
function checkBridges(platform: Platform): YamlProblem[] {
  const zones = Object.entries(platform.zones)
  return zones.flatMap(([name, { bridge, vlan }], index): YamlProblem[] => {
    const other = zones
      .slice(0, index)
      .find(([, zone]) => zone.bridge === bridge && (zone.vlan ?? UNTAGGED_VLAN) === (vlan ?? UNTAGGED_VLAN))
    if (!other) return []
    const [otherName, { vlan: otherVlan }] = other
    const field = vlan === undefined ? 'bridge' : 'vlan'
    return [
      {
        path: ['zones', name, field],
        found: `zones.${name}.${field}: found ${sharedNetwork(bridge, vlan, { name: otherName, vlan: otherVlan })}`,
        fix: 'give each zone its own vlan on the bridge, or its own bridge',
      },
    ]
  })
}

function sharedNetwork(
  bridge: string,
  vlan: number | undefined,
  other: { readonly name: string; readonly vlan: number | undefined },
): string {
  if (vlan !== other.vlan) {
    const [own, others] = [vlan, other.vlan].map((tag) => (tag === undefined ? 'no vlan' : `vlan ${tag}`))
    return `${own} on ${bridge}, where zone ${other.name} has ${others}: on a VLAN-aware bridge that is the same network`
  }
  return vlan === undefined
    ? `${bridge}, which zone ${other.name} has already`
    : `${vlan}, which zone ${other.name} has already on ${bridge}`
}

function checkVips(platform: Platform): YamlProblem[] {
  const vips = Object.entries(platform.vips)
  return vips.flatMap(([name, vip], index): YamlProblem[] => {
    const problem = (field: string, found: string, fix: string): YamlProblem[] => [
      { path: ['vips', name, field], found: `vips.${name}.${field}: ${found}`, fix },
    ]
    if (vip.role !== 'haproxy') {
      return problem('role', `found ${vip.role}, whose nodes serve no VIP`, 'use haproxy')
    }
    const zone = platform.zones[vip.zone]
    if (!zone) return problem('zone', `found unknown zone ${vip.zone}`, zoneSuggestion(platform, vip.zone))
    const { zones } = platform.roles[vip.role]
    if (!zones.includes(vip.zone)) {
      return problem(
        'zone',
        `found ${vip.zone}, where no ${vip.role} stands`,
        `use one of ${zones.join(', ')}`,
      )
    }
    const usable = usableRange(zone.cidr)
    const others = [zone.host, zone.gateway].filter((address) => address !== undefined)
    const free = freeRanges(zone.cidr, [...(zone.range ? [zone.range] : []), ...others])
    const choose = free.length > 0 ? `choose one of ${free.map(formatRange).join(', ')}` : 'shrink the range'
    if (!rangeContains(usable, vip.address)) {
      return problem(
        'address',
        `found ${vip.address}, which is not inside ${zone.cidr} of zone ${vip.zone}`,
        choose,
      )
    }
    if (zone.range && rangeContains(zone.range, vip.address)) {
      const found = `found ${vip.address}, which is inside the node range ${formatRange(zone.range)} of zone ${vip.zone}`
      return problem('address', found, choose)
    }
    if (others.includes(vip.address)) {
      return problem('address', `found ${vip.address}, the host or gateway of zone ${vip.zone}`, choose)
    }
    const twin = vips.slice(0, index).find(([, earlier]) => earlier.address === vip.address)
    if (twin) return problem('address', `found ${vip.address}, which VIP ${twin[0]} has already`, choose)
    return []
  })
}

function checkRoles(platform: Platform): YamlProblem[] {
  return Object.entries(platform.roles).flatMap(([name, { zones }]) => {
    const problems: YamlProblem[] = []
    for (const [index, zone] of zones.entries()) {
      const path = ['roles', name, 'zones', index]
      const place = `roles.${name}.zones[${index}]`
      if (!platform.zones[zone]) {
        problems.push({
          path,
          found: `${place}: found unknown zone ${zone}`,
          fix: zoneSuggestion(platform, zone),
        })
      } else if (zones.indexOf(zone) < index) {
        problems.push({ path, found: `${place}: found ${zone} a second time`, fix: 'name each zone once' })
      }
    }
    if (problems.length === 0 && !zones.some((zone) => platform.zones[zone]?.range)) {
      const found = `roles.${name}.zones: none of ${zones.join(', ')} has a range to take addresses from`
      problems.push({ path: ['roles', name, 'zones'], found, fix: 'add a zone that has a range' })
    }
    return problems
  })
}

/** A role's own part of a range has to be inside the range and apart from the parts of other roles. */
function checkRoleAddresses(platform: Platform): YamlProblem[] {
  const all = Object.entries(platform.roles).flatMap(([role, { zones, addresses }]) =>
    Object.entries(addresses).map(([zone, range]) => ({ role, zone, range, zones })),
  )
  return all.flatMap(({ role, zone, range, zones }, index): YamlProblem[] => {
    const path = ['roles', role, 'addresses', zone]
    const place = path.join('.')
    if (!zones.includes(zone)) {
      const found = `${place}: found zone ${zone}, where no ${role} stands`
      return [{ path, found, fix: `use one of ${zones.join(', ')}`, onKey: true }]
    }
    const whole = platform.zones[zone]?.range
    if (!whole) {
      const found = `${place}: found addresses in zone ${zone}, which has no range`
      return [{ path, found, fix: `give zones.${zone} a range, or leave this out` }]
    }
    const problem = rangeProblem(range, whole, `${formatRange(whole)} of zone ${zone}`)
    if (problem) return [{ path, found: `${place}: ${problem.found}`, fix: problem.fix }]
    const other = all
      .slice(0, index)
      .find((earlier) => earlier.zone === zone && overlap(earlier.range, range))
    if (!other) return []
    const found = `${place}: found ${formatRange(range)}, which overlaps ${formatRange(other.range)} of roles.${other.role}`
    return [{ path, found, fix: 'give each role its own addresses' }]
  })
}

function rangeProblem(
  range: AddressRange,
  whole: AddressRange,
  of: string,
): { found: string; fix: string } | undefined {
  const { first, last } = range
  if (addressNumber(first) > addressNumber(last)) {
    return { found: `found ${first}-${last}, which is reversed`, fix: `write ${last}-${first}` }
  }
  if (rangeContains(whole, range)) return undefined
  const found = `found ${formatRange(range)}, which is not inside ${of}`
  return { found, fix: `stay within ${formatRange(whole)}` }
}

function checkFlow(platform: Platform, name: string, flow: Flow): YamlProblem[] {
  const problems: YamlProblem[] = []
  const add = (steps: (string | number)[], found: string, fix: string) => {
    const [field, index] = steps
    const place = `flows.${name}.${field}${index === undefined ? '' : `[${index}]`}`
    problems.push({ path: ['flows', name, ...steps], found: `${place}: ${found}`, fix })
  }
  const zones = Object.keys(platform.zones)

  for (const [index, source] of flow.from.entries()) {
    if (asRole(source) || zones.includes(source) || source === 'any' || isNetwork(source)) continue
    if (source.includes('/')) {
      add(['from', index], `found ${source}, which is no network`, networkFix(source))
    } else if (source !== 'pods') {
      const fix = suggestion(source, [...roleNames, ...zones, 'pods', 'any', 'a CIDR'])
      add(['from', index], `found ${source}, which is no role and no zone`, fix)
    } else if (!flow.to.map(asRole).every((target) => target && roles[target].runsPods)) {
      const found = 'found pods, which only control-plane and worker see as such'
      add(['from', index], found, 'use control-plane and worker: pods leave their node with its address')
    }
  }
  for (const [index, target] of flow.to.entries()) {
    const others = ['pods', 'services', 'dns', 'ntp']
    if (!asRole(target) && !others.includes(target)) {
      add(['to', index], `found unknown role ${target}`, suggestion(target, [...roleNames, ...others]))
    }
  }
  const portless = flow.protocols.find((protocol) => protocol !== 'tcp' && protocol !== 'udp')
  if (portless && flow.protocols.length > 1) {
    add(['protocols'], `found ${flow.protocols.join(', ')}`, `put ${portless} in a flow of its own`)
  } else if (portless && flow.ports) {
    add(['ports'], `found ports with ${portless}, which has none`, 'remove ports')
  } else if (!portless && !flow.ports) {
    add(['protocols'], `found ${flow.protocols.join(', ')} without ports`, 'add ports')
  }
  for (const [index, port] of (flow.ports ?? []).entries()) {
    const twin = flow.ports
      ?.slice(0, index)
      .find((other) => port.first <= other.last && other.first <= port.last)
    if (!twin) continue
    add(
      ['ports', index],
      `found ${formatPort(port)}, which overlaps ${formatPort(twin)}`,
      'name each port once',
    )
  }
  return problems
}

function zoneSuggestion(platform: Platform, zone: string): string {
  return suggestion(zone, Object.keys(platform.zones))
}

/** A network's addresses without the network and the broadcast address. */
function usableRange(cidr: string) {
  return freeRanges(cidr, [])[0] ?? networkRange(cidr)
}
