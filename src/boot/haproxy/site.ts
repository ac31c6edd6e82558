import { expandCidr, parseCidr } from 'cidr-tools'
import type { Platform, Zone } from '../../platform/schema.ts'
import { SeederError } from '../../report/error.ts'
import type { CloudNic } from '../cloudinit.ts'
import type { Lease } from '../dhcp.ts'
import type { Lan } from '../lan.ts'
import type { Nic } from '../qemu.ts'

// This process's own place in every zone, counted from the network address.
const visitorPlace = 40

/** A machine that this process plays: a name and the address it answers on. */
export interface Peer {
  readonly name: string
  readonly address: string
}

/** A clone's network card in a zone: its address, and the lease it comes from where the zone uses DHCP. */
export interface Card extends Nic, CloudNic {
  readonly zone: string
  readonly ip: string
  readonly lease: Lease | undefined
}

/** A clone's place in the site. */
export interface Seat {
  readonly hostname: string
  readonly nics: readonly Card[]
}

/** The part of the platform that a pair of load balancers lives in, on bridges of our own. */
export interface Site {
  readonly lan: Lan
  /** The pair; the first is the one that holds the VIP. */
  readonly seats: readonly [Seat, Seat]
  /** Where the first one moves to when its addresses are edited. */
  readonly moved: Seat
  readonly apiServers: readonly Peer[]
  readonly workers: readonly Peer[]
  /** An address in each zone to come from, by zone name. */
  readonly visitors: Readonly<Record<string, string>>
  readonly edgeZone: string
  readonly nodeZone: string
  readonly operatorZone: string
  /** Without prefix length, and with. */
  readonly vip: string
  readonly vipCidr: string
}

/**
 * Lays out the site of the proof from the platform file: one bridge per zone of the role, on them the pair with
 * a card in each zone, as the platform makes its load balancers, and this process as everything else.
 * @throws SeederError when the platform has no zone or VIP the contract needs
 */
export function layOutSite(platform: Platform): Site {
  const role = platform.roles.haproxy
  const zones = role.zones.map((name) => ({ name, ...zoneOf(platform, name) }))
  const vip = Object.values(platform.vips).find((one) => one.role === 'haproxy')
  const nodeZone = platform.roles['control-plane'].zones.find((name) => role.zones.includes(name))
  const operatorZone = platform.flows.ssh?.from.find((name) => role.zones.includes(name))
  const edge =
    Object.values(platform.vips).find((one) => one.role === 'haproxy' && one.zone !== nodeZone) ?? vip
  if (!edge || !nodeZone || !operatorZone) {
    throw new SeederError(
      'the platform file has no haproxy VIP, no zone shared with the nodes, or no ssh flow',
      {
        fix: 'see platform.yaml: vips, roles.haproxy.zones and flows.ssh',
      },
    )
  }
  const node = zoneOf(platform, nodeZone)
  const seat = (hostname: string, index: number, place: number): Seat => ({
    hostname,
    nics: zones.map((zone, card): Card => {
      const mac = `bc:24:11:5e:${hex(index)}:${hex(card)}`
      const common = { zone: zone.name, tap: tapName(index, card), mac }
      // Zones without a range give their nodes the same address whatever the operator edits.
      const ip = nth(zone, 10 + (zone.range ? place : index))
      if (zone.range) return { ...common, ip, address: `${ip}/${prefix(zone)}`, lease: undefined }
      const lease = { mac, address: ip, ...subnetOf(zone), server: nth(zone, visitorPlace) }
      return { ...common, ip, address: 'dhcp', lease }
    }),
  })
  const apiServers = [1, 2, 3, 4].map((at) => ({ name: `cp${at}`, address: nth(node, at) }))
  const workers = [1, 2, 3].map((at) => ({ name: `w${at}`, address: nth(node, 4 + at) }))
  const visitors = Object.fromEntries(zones.map((zone) => [zone.name, nth(zone, visitorPlace)]))
  const peers = [...apiServers, ...workers].map(({ address }) => address)
  return {
    lan: {
      bridges: zones.map((zone) => ({
        name: `br-${zone.name}`.slice(0, 15),
        addresses: [visitors[zone.name] ?? '', ...(zone.name === nodeZone ? peers : [])].map(
          (address) => `${address}/${prefix(zone)}`,
        ),
      })),
      taps: [0, 1].flatMap((index) =>
        zones.map((zone, card) => ({ name: tapName(index, card), bridge: `br-${zone.name}`.slice(0, 15) })),
      ),
    },
    seats: [seat('lb1', 0, 1), seat('lb2', 1, 2)],
    moved: seat('lb1', 0, 3),
    apiServers,
    workers,
    visitors,
    edgeZone: edge.zone,
    nodeZone,
    operatorZone,
    vip: edge.address,
    vipCidr: `${edge.address}/${prefix(zoneOf(platform, edge.zone))}`,
  }
}

/** A clone's address in a zone, without prefix length. */
export function addressIn(seat: Seat, zone: string): string {
  const card = seat.nics.find((one) => one.zone === zone)
  if (!card) throw new SeederError(`${seat.hostname} has no card in the zone ${zone}`)
  return card.ip
}

/** This process's address in a zone. */
export function visitorIn(site: Site, zone: string): string {
  const address = site.visitors[zone]
  if (!address) throw new SeederError(`the site has no zone ${zone}`)
  return address
}

function zoneOf(platform: Platform, name: string): Zone {
  const zone = platform.zones[name]
  if (!zone) throw new SeederError(`the platform file has no zone ${name}`)
  return zone
}

/** The nth usable address of a zone, counted from its network address. */
function nth(zone: Zone, index: number): string {
  const address = [...expandCidr(zone.cidr)][index]
  if (address === undefined)
    throw new SeederError(`the zone ${zone.title} (${zone.cidr}) is too small for a proof`)
  return address
}

function subnetOf(zone: Zone): { netmask: string; broadcast: string } {
  const { start, end } = parseCidr(zone.cidr)
  const dotted = (value: bigint) => [24n, 16n, 8n, 0n].map((shift) => (value >> shift) & 255n).join('.')
  return { netmask: dotted(0xffffffffn ^ (end - start)), broadcast: dotted(end) }
}

function prefix(zone: Zone): string {
  return zone.cidr.split('/')[1] ?? '32'
}

function tapName(index: number, card: number): string {
  return `tap${index}-${card}`
}

function hex(value: number): string {
  return value.toString(16).padStart(2, '0')
}
