import { addressNumber, dottedAddress, rangeContains } from '../../platform/address.ts'
import type { Platform, Zone } from '../../platform/schema.ts'
import { roleRange } from '../../platform/zones.ts'
import { SeederError, UsageError } from '../../report/error.ts'
import type { Guest } from '../guests.ts'
import type { Volume } from '../storage.ts'
import type { HostFacts } from './facts.ts'
import type { NodeEntry } from './ledger.ts'
import type { NodeRequest, VmidRange } from './request.ts'

/** The place of a node: its VM's id, and its address in each zone without DHCP. */
export interface Placement {
  readonly name: string
  readonly vmid: number
  readonly token: string
  readonly addresses: Readonly<Record<string, string>>
}

/** Options of `placeNodes`. */
export interface PlacementOptions {
  /** A new token for each node. */
  readonly makeToken: () => string
  /** Addresses that answered although no known machine has them. */
  readonly answering: readonly string[]
}

/**
 * Places the nodes of a request at the lowest free addresses and ids. A node gets an address that an entry or the
 * founders of a cluster reserve for it.
 * @throws UsageError for a name that another VM has; SeederError when nothing is free
 */
export function placeNodes(facts: HostFacts, request: NodeRequest, options: PlacementOptions): Placement[] {
  const { platform, guests, entries, volumes } = facts
  const taken = new Set([...takenAddresses(platform, guests, entries).keys(), ...options.answering])
  // A node that is made again gets its reserved id, too, if that is still free.
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

/** The founders of the cluster of these nodes, when some of them are still to be made. */
export function foundersOf(names: readonly string[], entries: readonly NodeEntry[]): NodeEntry['founders'] {
  return entries.find((entry) => names.includes(entry.name) && entry.founders !== undefined)?.founders
}

/** Addresses in use or reserved, and their holders. */
export type TakenAddresses = ReadonlyMap<string, string>

/** Every address that is known to be in use or reserved. */
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
 * The lowest free address of a zone's range.
 * @throws SeederError when no address is free
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
    fix: 'make its range in platform.yaml larger, or destroy unused nodes',
  })
}

/**
 * The lowest free id of a range: no guest of the cluster has it, no entry, and no disk on a storage, which would be
 * destroyed with the node.
 * @throws SeederError when no id is free
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
