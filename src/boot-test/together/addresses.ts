import { z } from 'zod'
import { parseJson } from '../../files/json.ts'
import { networkRange, rangeContains } from '../../platform/address.ts'
import type { Platform } from '../../platform/schema.ts'
import { roleRange, zoneOf } from '../../platform/zones.ts'
import type { PlacedClone } from './test-bed.ts'

const listing = z.array(
  z.object({
    address: z.string().optional(),
    ifname: z.string(),
    addr_info: z.array(z.object({ family: z.string(), local: z.string(), scope: z.string() })),
  }),
)

/** IPv4 addresses by hardware address, from the JSON of `ip address`. Those of the machine itself are left out. */
export function addressesByCard(json: string): Map<string, string[]> {
  return new Map(
    parseJson(json, listing).map(({ address = '', addr_info }) => [
      address,
      addr_info
        .filter(({ family, scope }) => family === 'inet' && scope === 'global')
        .map(({ local }) => local),
    ]),
  )
}

/**
 * What of a machine's addresses is not where the network table has it: each card has an address of its zone's node
 * range (the role's own, if it has one; the zone, where DHCP gives them), and besides that only the role's VIPs.
 */
export function misplaced(platform: Platform, { seat }: Pick<PlacedClone, 'seat'>, json: string): string[] {
  const byCard = addressesByCard(json)
  const vips = Object.values(platform.vips).filter(({ role }) => role === seat.role)
  return seat.nics.flatMap(({ zone: name, mac }) => {
    const zone = zoneOf(platform, name)
    const range = roleRange(platform, seat.role, name) ?? networkRange(zone.cidr)
    const addresses = byCard.get(mac) ?? []
    const others = addresses.filter(
      (address) => !vips.some((vip) => vip.zone === name && vip.address === address),
    )
    if (others.length === 0) return [`${seat.hostname} has no address in ${name}`]
    return others
      .filter((address) => !rangeContains(range, address))
      .map((address) => `${seat.hostname} has ${address} in ${name}`)
  })
}
