import { roleRange } from '../../platform/ranges.ts'
import { UsageError } from '../../report/error.ts'
import { nextFreeAddress, takenAddresses } from './addresses.ts'
import type { HostFacts } from './facts.ts'
import type { NodeEntry } from './ledger.ts'
import type { NodeRequest } from './request.ts'
import { nextFreeVmid } from './vmids.ts'

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
