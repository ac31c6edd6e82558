import type { Platform, RoleName } from '../../platform/schema.ts'
import { prefixOf, zoneOf } from '../../platform/zones.ts'
import { SeederError } from '../../report/error.ts'
import { layOutSite, type MachineSpec, nodeAddress, type Peer, type Site } from '../site.ts'

/** The part of the platform around a pair of load balancers. */
export interface PairSite extends Site {
  /** The first one holds the VIP. */
  readonly pair: readonly [MachineSpec, MachineSpec]
  /** The first one after its addresses were edited. */
  readonly moved: MachineSpec
  readonly apiServers: readonly Peer[]
  readonly workers: readonly Peer[]
  readonly edgeZone: string
  readonly nodeZone: string
  /** Without prefix length, and with. */
  readonly vip: string
  readonly vipCidr: string
}

/**
 * Lays out the site of a pair, with simulated API servers and workers around it.
 * @throws SeederError when the platform has no zone or VIP the contract needs
 */
export function layOutPair(platform: Platform): PairSite {
  const { zones } = platform.roles.haproxy
  const vips = Object.values(platform.vips).filter(({ role }) => role === 'haproxy')
  const nodeZone = platform.roles['control-plane'].zones.find((name) => zones.includes(name))
  const edge = vips.find(({ zone }) => zone !== nodeZone) ?? vips[0]
  if (!edge || !nodeZone) {
    throw new SeederError(
      'the platform file has no haproxy VIP, or no zone that haproxy shares with the nodes',
      {
        fix: 'see platform.yaml: vips and roles.haproxy.zones',
      },
    )
  }
  const peer = (name: string, role: RoleName, place: number) => ({
    name,
    zone: nodeZone,
    address: nodeAddress(platform, nodeZone, place, role),
  })
  const apiServers = [1, 2, 3, 4].map((number) => peer(`cp${number}`, 'control-plane', number))
  const workers = [1, 2, 3].map((number) => peer(`w${number}`, 'worker', 4 + number))
  const balancer = { role: 'haproxy' } as const
  const site = layOutSite(
    platform,
    [
      { ...balancer, hostname: 'lb1', number: 0 },
      { ...balancer, hostname: 'lb2', number: 1 },
      { ...balancer, hostname: 'lb1', number: 0, place: 2 },
    ],
    [...apiServers, ...workers],
  )
  const [first, second, moved] = site.machines
  if (!first || !second || !moved) throw new SeederError('the site has no machines for a pair')
  const operatorZone = platform.flows.ssh?.from.find((name) => zones.includes(name))
  if (!operatorZone) {
    throw new SeederError('load balancers have no card in a zone that the operator logs in from', {
      fix: 'see platform.yaml: flows.ssh and roles.haproxy.zones',
    })
  }
  return {
    ...site,
    operatorZone,
    pair: [first, second],
    moved,
    apiServers,
    workers,
    edgeZone: edge.zone,
    nodeZone,
    vip: edge.address,
    vipCidr: `${edge.address}/${prefixOf(zoneOf(platform, edge.zone))}`,
  }
}
