import { parseCidr } from 'cidr-tools'
import { addressNumber, dottedAddress, freeRanges } from '../platform/address.ts'
import type { Platform, RoleName, Zone } from '../platform/schema.ts'
import { defaultRouteZone, prefixOf, roleRange, routesOf, zoneOf } from '../platform/zones.ts'
import { SeederError } from '../report/error.ts'
import type { CloudNic } from '../vm/cloud-init-drive.ts'
import type { Lease } from '../vm/dhcp.ts'
import type { Lan } from '../vm/lan.ts'
import type { Nic } from '../vm/qemu.ts'

// Places in a zone, counted from its first node address: simulated machines from 1, clones after 10. A role that has
// addresses of its own is either simulated or cloned, and counts from its own first address.
const FIRST_CLONE_PLACE = 11
const PROBE_PLACE = 40

/** A machine's name and the address that others know it by. */
export interface Peer {
  readonly name: string
  readonly address: string
}

/** A clone that the site has to make room for. */
export interface MachinePlan {
  readonly hostname: string
  readonly role: RoleName
  /** Its number among the test's machines, from 0, which gives its TAP devices and hardware addresses. */
  readonly number: number
  /** Its place in zones with a node range; by default its number. */
  readonly place?: number
}

/** A clone's network card in a zone: its address, and the lease it comes from where the zone uses DHCP. */
export interface Card extends Nic, CloudNic {
  readonly zone: string
  readonly ip: string
  readonly lease: Lease | undefined
  /** The address of the zone's router, if it has one. */
  readonly router: string | undefined
}

/** The network identity of a clone. */
export interface MachineSpec {
  readonly hostname: string
  readonly role: RoleName
  readonly nics: readonly Card[]
  /** The card with its default route, if the plan gives it one. */
  readonly defaultCard: Card | undefined
  /** The value of ROUTES in its node.env. */
  readonly routes: string
}

/** The platform's zones as bridges, the clones on them, and the addresses of this process in each zone. */
export interface Site {
  readonly lan: Lan
  /** In the order of the plans. */
  readonly machines: readonly MachineSpec[]
  /** This process's address in each zone, by zone name: one that a node could have. */
  readonly probes: Readonly<Record<string, string>>
  /** Another one outside the node range, in each zone that has one. */
  readonly unusedAddresses: Readonly<Record<string, string>>
  /** An address of the pod network, which this process has in the operator's zone. */
  readonly podAddress: string
  /** The zone that the operator logs in from. */
  readonly operatorZone: string
}

/**
 * Lays out a site from the platform file: a bridge per zone, and clones with a card in each zone of their role.
 * @param simulated machines whose addresses this process has
 * @throws SeederError when a zone is too small or no zone may log in
 */
export function layOutSite(
  platform: Platform,
  plans: readonly MachinePlan[],
  simulated: readonly { readonly zone: string; readonly address: string }[] = [],
): Site {
  const zones = Object.entries(platform.zones)
  const operatorZone = platform.flows.ssh?.from.find((name) => platform.zones[name])
  if (!operatorZone) {
    throw new SeederError('the platform file lets no zone log in by ssh', {
      fix: 'see platform.yaml: flows.ssh',
    })
  }
  const probes = Object.fromEntries(zones.map(([name]) => [name, nodeAddress(platform, name, PROBE_PLACE)]))
  const unusedAddresses = Object.fromEntries(
    zones.flatMap(([name, zone]) => {
      const address = unusedAddress(platform, name, zone)
      return address === undefined ? [] : [[name, address]]
    }),
  )
  const routers = routersOf(platform, probes)
  const machines = plans.map((plan) => makeMachine(platform, plan, { probes, routers }))
  const podAddress = dottedAddress(parseCidr(platform.cluster.pods.cidr).start + 10n)
  const cards = new Map(machines.flatMap(({ nics }) => nics.map((card) => [card.tap ?? '', card])))
  return {
    lan: {
      bridges: zones.map(([name, zone]) => ({
        name: bridgeName(name),
        addresses: [
          ...new Set([
            probes[name],
            unusedAddresses[name],
            routers[name],
            ...simulated.filter((machine) => machine.zone === name).map(({ address }) => address),
          ]),
        ]
          .filter((address) => address !== undefined)
          .map((address) => `${address}/${prefixOf(zone)}`)
          .concat(name === operatorZone ? [`${podAddress}/32`] : []),
        mtu: zone.mtu,
      })),
      taps: [...cards].map(([name, { zone }]) => ({ name, bridge: bridgeName(zone) })),
    },
    machines,
    probes,
    unusedAddresses,
    podAddress,
    operatorZone,
  }
}

/** The router of each zone that has one by plan, by zone name. A DHCP server gives itself, as that of a home router does. */
function routersOf(platform: Platform, probes: Site['probes']): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(platform.zones).flatMap(([name, { gateway, range }]) => {
      const router = gateway ?? (range ? undefined : probes[name])
      return router === undefined ? [] : [[name, router]]
    }),
  )
}

/** @throws SeederError when its address would be that of a router */
function makeMachine(
  platform: Platform,
  plan: MachinePlan,
  { probes, routers }: Readonly<Record<'probes' | 'routers', Readonly<Record<string, string>>>>,
): MachineSpec {
  const { hostname, role, number } = plan
  const defaultZone = defaultRouteZone(platform, role)
  const nics = platform.roles[role].zones.map((name, card): Card => {
    const zone = zoneOf(platform, name)
    const mac = `bc:24:11:5e:${hex(number)}:${hex(card)}`
    // In a zone without a range the address depends on the machine alone, whatever the operator edits.
    const ip = zone.range
      ? cloneAddress(platform, name, role, plan.place ?? number)
      : nodeAddress(platform, name, FIRST_CLONE_PLACE - 1 + number)
    const router = routers[name]
    if (ip === router) {
      throw new SeederError(`the test would give ${hostname} the address of the gateway in ${name}, ${ip}`, {
        fix: `see platform.yaml: zones.${name}; choose a gateway that is not among the addresses of nodes`,
      })
    }
    const common = { zone: name, tap: `tap${number}-${card}`, mac, ip, router, mtu: zone.mtu }
    if (zone.range) {
      const gateway = name === defaultZone ? router : undefined
      return { ...common, address: `${ip}/${prefixOf(zone)}`, gateway, lease: undefined }
    }
    const server = probes[name] ?? ''
    const lease = { mac, address: ip, ...subnetOf(zone), server, router: router ?? server }
    return { ...common, address: 'dhcp', gateway: undefined, lease }
  })
  const defaultCard = nics.find(({ zone }) => zone === defaultZone)
  return { hostname, role, nics, defaultCard, routes: routesOf(platform, role) }
}

/** The machine with a host name. */
export function machineOf(site: Pick<Site, 'machines'>, hostname: string): MachineSpec {
  const machine = site.machines.find((spec) => spec.hostname === hostname)
  if (!machine) throw new SeederError(`the site has no machine ${hostname}`)
  return machine
}

/** A clone's address in a zone, without prefix length. */
export function addressIn(machine: MachineSpec, zone: string): string {
  const card = machine.nics.find((nic) => nic.zone === zone)
  if (!card) throw new SeederError(`${machine.hostname} has no card in the zone ${zone}`)
  return card.ip
}

/** The address of a machine for a zone: that of its card there, or else of the card that faces other networks. */
export function addressFrom(machine: MachineSpec, zone: string): string {
  return (machine.nics.find((nic) => nic.zone === zone) ?? outerCard(machine)).ip
}

/** The card by which other networks than a machine's own reach it: that of its default route, or else its first. */
export function outerCard({ hostname, defaultCard, nics }: MachineSpec): Card {
  const card = defaultCard ?? nics[0]
  if (!card) throw new SeederError(`${hostname} has no network card`)
  return card
}

/** This process's address in a zone. */
export function probeIn(site: Pick<Site, 'probes'>, zone: string): string {
  const address = site.probes[zone]
  if (!address) throw new SeederError(`the site has no zone ${zone}`)
  return address
}

/** The nth address, from 0, for clones of a role in a zone with a range. */
export function cloneAddress(platform: Platform, zone: string, role: RoleName, number: number): string {
  const own = platform.roles[role].addresses[zone] !== undefined
  return nodeAddress(platform, zone, number + (own ? 1 : FIRST_CLONE_PLACE), role)
}

/**
 * The nth address, from 1, for nodes in a zone, or for those of a role: of its range, or of the whole zone when it has
 * none.
 * @throws SeederError when there are fewer
 */
export function nodeAddress(platform: Platform, zoneName: string, place: number, role?: RoleName): string {
  const zone = zoneOf(platform, zoneName)
  const { start, end } = parseCidr(zone.cidr)
  const range = role ? roleRange(platform, role, zoneName) : zone.range
  const address = (range ? addressNumber(range.first) : start + 1n) + BigInt(place - 1)
  if (address > (range ? addressNumber(range.last) : end - 1n)) {
    throw new SeederError(`the zone ${zone.title} (${zone.cidr}) is too small for a test`, {
      fix: `give it room for ${PROBE_PLACE} nodes`,
    })
  }
  return dottedAddress(address)
}

/** An address outside the node range that the platform file gives to nothing else. */
function unusedAddress(platform: Platform, name: string, zone: Zone): string | undefined {
  if (!zone.range) return undefined
  const vips = Object.values(platform.vips).filter((vip) => vip.zone === name)
  const taken = [zone.host ?? [], zone.gateway ?? [], vips.map(({ address }) => address)].flat()
  return freeRanges(zone.cidr, [zone.range, ...taken]).at(-1)?.last
}

function subnetOf(zone: Zone): { netmask: string; broadcast: string } {
  const { start, end } = parseCidr(zone.cidr)
  return { netmask: dottedAddress(0xffffffffn ^ (end - start)), broadcast: dottedAddress(end) }
}

function bridgeName(zone: string): string {
  return `br-${zone}`.slice(0, 15)
}

function hex(value: number): string {
  return value.toString(16).padStart(2, '0')
}
