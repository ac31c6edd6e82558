import { z } from 'zod'
import { anyJson } from '../../files/json.ts'
import { addressNumber, dottedAddress, rangeContains } from '../../platform/address.ts'
import type { Platform, Zone } from '../../platform/schema.ts'
import { roleRange } from '../../platform/zones.ts'
import { SeederError, UsageError } from '../../report/error.ts'
import type { Host } from '../commands.ts'
import type { Guest } from '../guests.ts'
import type { Volume } from '../storage.ts'
import type { HostFacts } from './facts.ts'
import type { NodeEntry } from './ledger.ts'
import type { NodeRequest, VmidRange } from './request.ts'

/** Where a node is to be: its VM's id, and its address in each zone whose addresses do not come by DHCP. */
export interface Placement {
  readonly name: string
  readonly vmid: number
  readonly token: string
  readonly addresses: Readonly<Record<string, string>>
}

/** What placing nodes needs beside the facts. */
export interface PlacementOptions {
  /** A new token for each node. */
  readonly makeToken: () => string
  /** Addresses that answered although nobody is known to have them. */
  readonly answering: readonly string[]
}

/**
 * Places the nodes of a request: the lowest addresses and ids that nobody has. What an entry or the founders of a cluster
 * keep for a node, it gets.
 * @throws UsageError for a name that something else has; SeederError when nothing is free
 */
export function placeNodes(facts: HostFacts, request: NodeRequest, options: PlacementOptions): Placement[] {
  const { platform, guests, entries, volumes } = facts
  const taken = new Set([...takenAddresses(platform, guests, entries).keys(), ...options.answering])
  // A node that is made again gets the id that it was to have, too, if nobody else has taken it.
  const vmids: Pick<NodeEntry, 'vmid'>[] = entries.filter(
    ({ name, state }) => state !== 'reserved' || !request.names.includes(name),
  )
  return request.names.map((name) => {
    const namesake = guests.find((guest) => guest.settings.get('name') === name)
    if (namesake) {
      throw new UsageError(
        `There is a VM of the name ${name} already: ${namesake.vmid} on ${namesake.node}`,
        {
          fix: 'choose another name',
        },
      )
    }
    const kept = entries.find((entry) => entry.name === name && entry.state === 'reserved')
    const founder = entries
      .flatMap(({ founders }) => founders?.members ?? [])
      .find((member) => member.name === name)
    const addresses: Record<string, string> = {}
    for (const zoneName of platform.roles[request.role].zones) {
      const range = roleRange(platform, request.role, zoneName)
      if (!range) continue
      const first = Object.keys(addresses).length === 0
      const address =
        kept?.addresses[zoneName] ??
        (first ? founder?.address : undefined) ??
        nextFreeAddress(zoneName, { range }, taken)
      taken.add(address)
      addresses[zoneName] = address
    }
    const vmid = nextFreeVmid(request.vmids, guests, vmids, volumes)
    vmids.push({ vmid })
    return { name, vmid, token: kept?.token ?? options.makeToken(), addresses }
  })
}

/** The cluster that one of these nodes was founded with, when some of it is still to be made. */
export function foundersOf(names: readonly string[], entries: readonly NodeEntry[]): NodeEntry['founders'] {
  return entries.find((entry) => names.includes(entry.name) && entry.founders !== undefined)?.founders
}

/** Addresses that nobody may get, and who has them. */
export type TakenAddresses = ReadonlyMap<string, string>

/** Every address that is known to be in use or kept for somebody. */
export function takenAddresses(
  platform: Platform,
  guests: readonly Guest[],
  entries: readonly NodeEntry[],
): TakenAddresses {
  const taken = new Map<string, string>()
  for (const [name, zone] of Object.entries(platform.zones)) {
    if (zone.host !== undefined) taken.set(zone.host, `the host in zone ${name}`)
    if (zone.gateway !== undefined) taken.set(zone.gateway, `the gateway of zone ${name}`)
  }
  for (const [name, vip] of Object.entries(platform.vips)) taken.set(vip.address, `VIP ${name}`)
  for (const server of platform.dns) taken.set(server, 'a DNS server')
  for (const guest of guests) {
    const kind = guest.kind === 'qemu' ? 'VM' : 'container'
    for (const address of guest.addresses) taken.set(address, `${kind} ${guest.vmid}`)
  }
  for (const entry of entries) {
    for (const address of Object.values(entry.addresses)) taken.set(address, `node ${entry.name}`)
    for (const { name, address } of entry.founders?.members ?? []) taken.set(address, `node ${name}`)
  }
  return taken
}

/**
 * The lowest address of a range in a zone that nobody has.
 * @throws SeederError when there is none left
 */
export function nextFreeAddress(
  name: string,
  { range }: Pick<Zone, 'range'>,
  taken: Iterable<string>,
): string {
  if (!range) throw new SeederError(`Zone ${name} has no range to take an address from`)
  const [start, end] = [addressNumber(range.first), addressNumber(range.last)]
  const used = new Set([...taken].filter((address) => rangeContains(range, address)).map(addressNumber))
  for (let number = start; number <= end; number++) if (!used.has(number)) return dottedAddress(number)
  throw new SeederError(`Zone ${name} has no address left in ${range.first}-${range.last}`, {
    fix: 'make its range in platform.yaml larger, or destroy nodes that nobody needs',
  })
}

/**
 * The lowest id of a range that nothing has: no guest of the cluster, no entry, and no disk that somebody left on a
 * storage, which a node of that id would take with it when it is destroyed.
 * @throws SeederError when there is none
 */
export function nextFreeVmid(
  { first, last }: VmidRange,
  guests: readonly Guest[],
  entries: readonly Pick<NodeEntry, 'vmid'>[],
  volumes: readonly Volume[],
): number {
  const taken = new Set([...guests, ...entries, ...volumes].map(({ vmid }) => vmid))
  for (let vmid = first; vmid <= last; vmid++) if (!taken.has(vmid)) return vmid
  if (first === last) {
    const disk = volumes.find(({ vmid }) => vmid === first)
    const guest = guests.find(({ vmid }) => vmid === first)
    const holder = guest
      ? `a ${guest.kind === 'qemu' ? 'VM' : 'container'} on ${guest.node}`
      : disk
        ? `the disk ${disk.id}`
        : 'a node that is being made'
    throw new SeederError(`VM id ${first} is taken by ${holder}`, { fix: 'choose another one' })
  }
  throw new SeederError(`No VM id from ${first} to ${last} is free`, { fix: 'give a larger --vmid-range' })
}
export const neighbours = z.array(
  z.object({ dst: z.string(), lladdr: z.string().optional(), state: z.array(z.string()).default([]) }),
)
/**
 * Which of these addresses somebody has, although nobody is known to: a machine that is not of this cluster. The host
 * sends its requests on the bridge, where it needs no address of its own: it is enough that ARP finds somebody. Who does not answer
 * within a second may still be there.
 */
export async function answeringAddresses(
  host: Host,
  places: readonly { readonly bridge: string; readonly address: string }[],
): Promise<string[]> {
  const answered = await Promise.all(
    places.map(async ({ bridge, address }) => {
      // What the host remembers is used without another request, and for some seconds it stays unclear whether it holds.
      await host.run(['ip', 'neighbour', 'flush', 'to', address, 'dev', bridge])
      const { code } = await host.run(['ping', '-n', '-q', '-c', '1', '-W', '1', '-I', bridge, address])
      return code === 0 || (await isReachable(host, bridge, address))
    }),
  )
  return places.filter((_, index) => answered[index]).map(({ address }) => address)
}

export async function isReachable(host: Host, bridge: string, address: string): Promise<boolean> {
  const { stdout } = await host.run(['ip', '-json', 'neighbour', 'show', 'to', address, 'dev', bridge])
  const found = neighbours.safeParse(anyJson(stdout)).data ?? []
  // What the host merely remembers of somebody who left is another state.
  return found.some(({ state }) => state.some((one) => one === 'REACHABLE' || one === 'PERMANENT'))
}
