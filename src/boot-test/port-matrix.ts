import pMap from 'p-map'
import type { Platform, RoleName } from '../platform/schema.ts'
import { expect } from './checks.ts'
import { type PortAnswer, probeDatagram, probeEcho, probePort } from './probe.ts'
import { mayConnect } from './reachable.ts'
import { addressFrom, type MachineSpec, type Site } from './site.ts'

/** One question to a clone's firewall, and the answer that the platform file means it to give. */
export interface Probe {
  /** Who asks, for people. */
  readonly asker: string
  readonly from: string
  readonly to: string
  /** 0 with icmp. */
  readonly port: number
  /** icmp: an echo request. */
  readonly protocol: 'tcp' | 'udp' | 'icmp'
  /** `refused`: the firewall lets it in, and nothing listens. */
  readonly meant: 'open' | 'refused' | 'silent'
}

/** Ports by protocol. */
export interface Ports {
  readonly tcp: readonly number[]
  readonly udp: readonly number[]
}

// In no flow of any role, but what a machine could be listening on, or what would be bad if it did.
const others: Ports = {
  tcp: [25, 53, 80, 111, 443, 5355, 8405, 9100, 10248, 10249, 10255, 10257, 10259],
  udp: [53, 68, 123, 4789, 5353, 8472],
}
// Within this time three tries of a connection reach a clone that is slow because it is emulated.
const silenceMs = 3500
const answerMs = 12_000

/**
 * Every port of the platform file (of a range both ends, and their neighbours outside), of whatever role and whether
 * it is enabled or not, and some that are in no flow. In ascending order.
 */
export function portsOf(platform: Platform): Ports {
  const named = (protocol: 'tcp' | 'udp') => {
    const ranges = Object.values(platform.flows).flatMap(({ protocols, ports = [] }) =>
      protocols.includes(protocol) ? ports : [],
    )
    const ports = ranges.flatMap(({ first, last }) =>
      first === last ? [first] : [first - 1, first, last, last + 1],
    )
    return [...new Set([...ports, ...others[protocol]])]
      .filter((port) => port > 0 && port < 65_536)
      .sort((a, b) => a - b)
  }
  return { tcp: named('tcp'), udp: named('udp') }
}

/**
 * The whole matrix of one clone: an echo request and each port from an address that a node could have and from one that no node has, in
 * every zone from which the clone is reached, and from a pod's address that comes in by the wrong way.
 * @param serving what listens on the clone's own addresses
 */
export function probesOf(
  platform: Platform,
  site: Site,
  seat: MachineSpec,
  ports: Ports,
  serving: Ports,
): Probe[] {
  const askers = Object.keys(platform.zones).flatMap((zone) => {
    if (!seat.routed && !seat.nics.some((card) => card.zone === zone)) return []
    const to = addressFrom(seat, zone)
    const [node, stranger] = [site.probes[zone], site.strangers[zone]]
    return [
      ...(node === undefined ? [] : [{ asker: zone, from: node, to }]),
      ...(stranger === undefined ? [] : [{ asker: `${zone} outside its nodes`, from: stranger, to }]),
    ]
  })
  const stray = seat.routed
    ? [{ asker: 'a pod’s address', from: site.strayPod, to: seat.nics[0]?.ip ?? '' }]
    : []
  // What answers an echo request is the kernel: it is always served.
  const asked = { ...ports, icmp: [0] }
  const served = { ...serving, icmp: [0] }
  return [...askers, ...stray].flatMap((asker) =>
    (['icmp', 'tcp', 'udp'] as const).flatMap((protocol) =>
      asked[protocol].map((port) => ({
        ...asker,
        port,
        protocol,
        meant: meantAnswer(platform, seat.role, asker.from, port, protocol, served[protocol]),
      })),
    ),
  )
}

/** What a port of a role answers to an address, by the platform file; `served` are the ports that something listens on. */
export function meantAnswer(
  platform: Platform,
  role: RoleName,
  from: string,
  port: number,
  protocol: Probe['protocol'],
  served: readonly number[],
): Probe['meant'] {
  if (!mayConnect(platform, role, from, port, protocol)) return 'silent'
  return served.includes(port) ? 'open' : 'refused'
}

/**
 * Asks all of it and compares.
 * @throws SeederError with every port that answers otherwise than meant
 */
export async function checkProbes(probes: readonly Probe[]): Promise<string> {
  const wrong = await pMap(
    probes,
    async (probe) => {
      const answer = await ask(probe)
      if (answer === probe.meant) return []
      return `${nameOf(probe)} from ${probe.asker} is ${answer}, meant to be ${probe.meant}`
    },
    { concurrency: 160 },
  )
  expect(wrong.flat().length === 0, wrong.flat().slice(0, 8).join('; '))
  const count = (meant: Probe['meant']) => probes.filter((probe) => probe.meant === meant).length
  const askers = [...new Set(probes.map(({ asker }) => asker))]
  return `${probes.length} probes, ${count('open')} open, ${count('refused')} let in, ${count('silent')} dropped, from ${askers.join(', ')}`
}

function nameOf({ port, protocol }: Probe): string {
  return protocol === 'icmp' ? 'an echo request' : `${port}/${protocol}`
}

const ways = { tcp: probePort, udp: probeDatagram, icmp: probeEcho }

async function ask({ from, to, port, protocol, meant }: Probe): Promise<PortAnswer> {
  return ways[protocol]({ from, to, port, timeoutMs: meant === 'silent' ? silenceMs : answerMs })
}
