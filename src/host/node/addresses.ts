import { addressNumber, dottedAddress, rangeContains } from '../../platform/address.ts'
import type { Platform, Zone } from '../../platform/schema.ts'
import { SeederError } from '../../report/error.ts'
import type { Guest } from '../guests.ts'
import type { NodeEntry } from './ledger.ts'

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
