import pMap from 'p-map'
import { networkRange, rangeContains } from '../platform/address.ts'
import { inboundFlows } from '../platform/flows.ts'
import type { Platform, RoleName } from '../platform/schema.ts'
import { expect } from './checks.ts'
import { type PortAnswer, probeDatagram, probeEcho, probePort } from './probe.ts'
import { type PlatformSite, withReturnRoutes } from './return-routes.ts'
import { addressFrom, type MachineSpec, outerCard } from './site.ts'
import type { PlacedClone } from './test-bed.ts'

/** A packet to a clone, as a firewall sees it. */
export interface Packet {
  readonly from: string
  /** 0 with icmp. */
  readonly port: number
  /** icmp: an echo request. */
  readonly protocol: 'tcp' | 'udp' | 'icmp'
}

/** One packet to a clone's firewall, and the answer that follows from the platform file. */
export interface Probe extends Packet {
  /** Where the packet comes from, for people. */
  readonly source: string
  readonly to: string
  /** `refused`: the firewall accepts it, and nothing listens. */
  readonly expected: 'open' | 'refused' | 'silent'
}

/** Ports by protocol. */
export interface Ports {
  readonly tcp: readonly number[]
  readonly udp: readonly number[]
}

// In no flow of any role: ports on which a machine could listen, some of which would be dangerous.
const others: Ports = {
  tcp: [25, 53, 80, 111, 443, 5355, 8405, 9100, 10248, 10249, 10255, 10257, 10259],
  udp: [53, 68, 123, 4789, 5353, 8472],
}
// In this time three attempts to connect reach a clone that is slow because it is emulated.
const SILENCE_MS = 3500
const ANSWER_MS = 12_000

/**
 * Every port of the platform file (of a range both ends and their neighbours outside), of every role and whether its
 * flow is enabled or not, and some that are in no flow. In ascending order.
 */
export function portsToProbe(platform: Platform): Ports {
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
 * All probes of one clone: an echo request and each port, in every zone, from an address that a node could have and from an
 * unused one; and from a pod's address that arrives through the wrong zone.
 * @param serving the ports on which the clone listens
 */
export function planProbes(
  { platform, site }: PlatformSite,
  machine: MachineSpec,
  serving: Ports,
  ports = portsToProbe(platform),
): Probe[] {
  const routes = Object.keys(platform.zones).flatMap((zone) => {
    const to = addressFrom(machine, zone)
    const [node, unused] = [site.probes[zone], site.unusedAddresses[zone]]
    return [
      ...(node === undefined ? [] : [{ source: zone, from: node, to }]),
      ...(unused === undefined ? [] : [{ source: `${zone} outside its nodes`, from: unused, to }]),
    ]
  })
  routes.push({ source: 'a pod’s address', from: site.podAddress, to: outerCard(machine).ip })
  const probed = { ...ports, icmp: [0] }
  // The kernel itself answers echo requests.
  const served = { ...serving, icmp: [0] }
  return routes.flatMap((route) =>
    (['icmp', 'tcp', 'udp'] as const).flatMap((protocol) =>
      probed[protocol].map((port) => {
        const packet = { from: route.from, port, protocol }
        const expected = expectedAnswer(platform, machine.role, packet, served[protocol])
        return { ...route, ...packet, expected }
      }),
    ),
  )
}

/** The answer of a role to a packet, by the platform file, when it listens on the ports in `served`. */
export function expectedAnswer(
  platform: Platform,
  role: RoleName,
  packet: Packet,
  served: readonly number[],
): Probe['expected'] {
  if (!mayConnect(platform, role, packet)) return 'silent'
  return served.includes(packet.port) ? 'open' : 'refused'
}

/** Whether the platform file lets a packet in to a role, unless it comes from a pod of the machine itself. */
export function mayConnect(platform: Platform, role: RoleName, { from, port, protocol }: Packet): boolean {
  return inboundFlows(platform, role).some(
    ({ protocols, ports = [], sources }) =>
      (protocols.includes(protocol) || protocols.includes('all')) &&
      (ports.length === 0 || ports.some(({ first, last }) => first <= port && port <= last)) &&
      sources.some(
        (source) =>
          source.kind === 'any' ||
          (source.kind === 'addresses' && source.addresses.some((text) => includes(text, from))),
      ),
  )
}

/** Whether a CIDR or a range, `10.0.0.1-10.0.0.50`, includes an address. */
function includes(text: string, address: string): boolean {
  const [first = '', last] = text.split('-')
  return rangeContains(last === undefined ? networkRange(first) : { first, last }, address)
}

/** Sends all probes of a clone, with the routes that its answers need. */
export async function checkPorts(
  bed: PlatformSite,
  node: PlacedClone,
  serving: Ports,
  ports?: Ports,
): Promise<string> {
  return withReturnRoutes(bed, node, () => checkProbes(planProbes(bed, node.machine, serving, ports)))
}

/**
 * Sends all probes and compares the answers.
 * @throws SeederError with the ports that answer otherwise than expected
 */
export async function checkProbes(probes: readonly Probe[]): Promise<string> {
  const wrong = await pMap(
    probes,
    async (probe) => {
      const answer = await send(probe)
      if (answer === probe.expected) return []
      return `${nameOf(probe)} from ${probe.source} is ${answer}, expected ${probe.expected}`
    },
    { concurrency: 160 },
  )
  expect(wrong.flat().length === 0, wrong.flat().slice(0, 8).join('; '))
  const count = (answer: PortAnswer) => probes.filter(({ expected }) => expected === answer).length
  const sources = [...new Set(probes.map(({ source }) => source))]
  return `${probes.length} probes, ${count('open')} open, ${count('refused')} let in, ${count('silent')} dropped, from ${sources.join(', ')}`
}

function nameOf({ port, protocol }: Packet): string {
  return protocol === 'icmp' ? 'an echo request' : `${port}/${protocol}`
}

const senders = { tcp: probePort, udp: probeDatagram, icmp: probeEcho }

async function send({ from, to, port, protocol, expected }: Probe): Promise<PortAnswer> {
  return senders[protocol]({ from, to, port, timeoutMs: expected === 'silent' ? SILENCE_MS : ANSWER_MS })
}
