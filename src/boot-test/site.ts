import { parseCidr } from 'cidr-tools'
import { addressNumber, freeRanges } from '../platform/address.ts'
import type { Platform, RoleName, Zone } from '../platform/schema.ts'
import { prefixOf, roleRange, zoneOf } from '../platform/zones.ts'
import { SeederError } from '../report/error.ts'
import type { CloudNic } from '../vm/cloud-init-drive.ts'
import type { Lease } from '../vm/dhcp.ts'
import type { Lan } from '../vm/lan.ts'
import type { Nic } from '../vm/qemu.ts'

// Places in a zone, counted from its first node address: played machines begin at 1, clones after 10. A role that has
// addresses of its own is either played or cloned, and counts from its own first one.
const firstClonePlace = 11
const visitorPlace = 40

/** A machine that this process plays: a name and the address it answers on. */
export interface Peer {
  readonly name: string
  readonly address: string
}

/** Which clone is to stand in the site. */
export interface MachinePlan {
  readonly hostname: string
  readonly role: RoleName
  /** Its number among the proof's machines, from 0: whose TAP devices and hardware addresses it has. */
  readonly machine: number
  /** Which address it has where the zone has a node range: the machine's own number without. */
  readonly place?: number
  /** Its first card leads to a router, which is this process, so that every zone of the platform reaches it. */
  readonly routed: boolean
}

/** A clone's network card in a zone: its address, and the lease it comes from where the zone uses DHCP. */
export interface Card extends Nic, CloudNic {
  readonly zone: string
  readonly ip: string
  readonly lease: Lease | undefined
}

/** A clone's place in the site. */
export interface MachineSpec {
  readonly hostname: string
  readonly role: RoleName
  readonly routed: boolean
  readonly nics: readonly Card[]
}

/** The platform's zones as bridges of our own, the clones that stand in them, and this process in all of them. */
export interface Site {
  readonly lan: Lan
  /** In the order they were asked for. */
  readonly machines: readonly MachineSpec[]
  /** An address in each zone to come from, by zone name: one that a node could have. */
  readonly probes: Readonly<Record<string, string>>
  /** One that no node has, in each zone that keeps some for other uses. */
  readonly strangers: Readonly<Record<string, string>>
  /** An address of the pod network, where no pod has any business. */
  readonly strayPod: string
  /** Where the operator logs in from. */
  readonly operatorZone: string
}

/**
 * Lays out a site from the platform file: a bridge per zone, on them the clones with a card in each zone of their
 * role, and this process with the addresses of the machines it plays.
 * @throws SeederError when a zone is too small or no zone may log in
 */
export function layOutSite(
  platform: Platform,
  plans: readonly MachinePlan[],
  played: readonly { readonly zone: string; readonly address: string }[] = [],
): Site {
  const zones = Object.entries(platform.zones)
  const operatorZone = platform.flows.ssh?.from.find((name) => platform.zones[name])
  if (!operatorZone) {
    throw new SeederError('the platform file lets no zone log in by ssh', {
      fix: 'see platform.yaml: flows.ssh',
    })
  }
  const visitors = Object.fromEntries(
    zones.map(([name]) => [name, nodeAddress(platform, name, visitorPlace)]),
  )
  const strangers = Object.fromEntries(
    zones.flatMap(([name, zone]) => {
      const address = spareAddress(platform, name, zone)
      return address === undefined ? [] : [[name, address]]
    }),
  )
  const seats = plans.map((plan) => makeMachine(platform, plan, visitors))
  const strayPod = dotted(parseCidr(platform.cluster.pods.cidr).start + 10n)
  const cards = new Map(seats.flatMap(({ nics }) => nics.map((card) => [card.tap ?? '', card])))
  return {
    lan: {
      bridges: zones.map(([name, zone]) => ({
        name: bridgeName(name),
        addresses: [
          ...[visitors[name] ?? [], strangers[name] ?? []].flat(),
          ...played.filter((peer) => peer.zone === name).map(({ address }) => address),
        ]
          .map((address) => `${address}/${prefixOf(zone)}`)
          .concat(name === operatorZone ? [`${strayPod}/32`] : []),
      })),
      taps: [...cards].map(([name, { zone }]) => ({ name, bridge: bridgeName(zone) })),
    },
    machines: seats,
    probes: visitors,
    strangers,
    strayPod,
    operatorZone,
  }
}

function makeMachine(
  platform: Platform,
  plan: MachinePlan,
  visitors: Readonly<Record<string, string>>,
): MachineSpec {
  const { hostname, role, machine, routed } = plan
  const nics = platform.roles[role].zones.map((name, card): Card => {
    const zone = zoneOf(platform, name)
    const mac = `bc:24:11:5e:${hex(machine)}:${hex(card)}`
    const common = { zone: name, tap: `tap${machine}-${card}`, mac }
    const server = visitors[name] ?? ''
    if (zone.range) {
      const ip = clonePlace(platform, name, role, plan.place ?? machine)
      const gateway = routed && card === 0 ? server : undefined
      return { ...common, ip, address: `${ip}/${prefixOf(zone)}`, gateway, lease: undefined }
    }
    // Zones without a range give their nodes the same address whatever the operator edits.
    const ip = nodeAddress(platform, name, firstClonePlace - 1 + machine)
    const lease = { mac, address: ip, ...subnetOf(zone), server }
    return { ...common, ip, address: 'dhcp', gateway: undefined, lease }
  })
  return { hostname, role, routed, nics }
}

/** A clone's seat by its host name. */
export function machineOf(site: Pick<Site, 'machines'>, hostname: string): MachineSpec {
  const seat = site.machines.find((one) => one.hostname === hostname)
  if (!seat) throw new SeederError(`the site has no seat for ${hostname}`)
  return seat
}

/** A clone's address in a zone, without prefix length. */
export function addressIn(seat: MachineSpec, zone: string): string {
  const card = seat.nics.find((one) => one.zone === zone)
  if (!card) throw new SeederError(`${seat.hostname} has no card in the zone ${zone}`)
  return card.ip
}

/** Where a clone is reached from a zone: on its card there, or else through the router on its first one. */
export function addressFrom(seat: MachineSpec, zone: string): string {
  const card = seat.nics.find((one) => one.zone === zone) ?? (seat.routed ? seat.nics[0] : undefined)
  if (!card) throw new SeederError(`${seat.hostname} cannot be reached from the zone ${zone}`)
  return card.ip
}

/** This process's address in a zone. */
export function probeIn(site: Pick<Site, 'probes'>, zone: string): string {
  const address = site.probes[zone]
  if (!address) throw new SeederError(`the site has no zone ${zone}`)
  return address
}

/** The nth address, from 0, that a clone of a role has in a zone with a range. */
export function clonePlace(platform: Platform, zone: string, role: RoleName, number: number): string {
  const own = platform.roles[role].addresses[zone] !== undefined
  return nodeAddress(platform, zone, number + (own ? 1 : firstClonePlace), role)
}

/**
 * The nth address, from 1, that a node may have in a zone, or one of that role: of its range, or of the whole zone
 * without one.
 * @throws SeederError when the zone has fewer
 */
export function nodeAddress(platform: Platform, zoneName: string, place: number, role?: RoleName): string {
  const zone = zoneOf(platform, zoneName)
  const { start, end } = parseCidr(zone.cidr)
  const range = role ? roleRange(platform, role, zoneName) : zone.range
  const address = (range ? addressNumber(range.first) : start + 1n) + BigInt(place - 1)
  if (address > (range ? addressNumber(range.last) : end - 1n)) {
    throw new SeederError(`the zone ${zone.title} (${zone.cidr}) is too small for a proof`, {
      fix: `give it room for ${visitorPlace} nodes`,
    })
  }
  return dotted(address)
}

/** An address outside the node range that nothing else has. */
function spareAddress(platform: Platform, name: string, zone: Zone): string | undefined {
  if (!zone.range) return undefined
  const vips = Object.values(platform.vips).filter((vip) => vip.zone === name)
  const taken = [zone.host ?? [], zone.gateway ?? [], vips.map(({ address }) => address)].flat()
  return freeRanges(zone.cidr, [zone.range, ...taken]).at(-1)?.last
}

function subnetOf(zone: Zone): { netmask: string; broadcast: string } {
  const { start, end } = parseCidr(zone.cidr)
  return { netmask: dotted(0xffffffffn ^ (end - start)), broadcast: dotted(end) }
}

function bridgeName(zone: string): string {
  return `br-${zone}`.slice(0, 15)
}

function dotted(value: bigint): string {
  return [24n, 16n, 8n, 0n].map((shift) => (value >> shift) & 255n).join('.')
}

function hex(value: number): string {
  return value.toString(16).padStart(2, '0')
}
