import { z } from 'zod'
import { parseJson } from '../../files/json.ts'
import { networkRange, rangeContains } from '../../platform/address.ts'
import type { Platform } from '../../platform/schema.ts'
import { roleRange, zoneOf } from '../../platform/zones.ts'
import type { MachineSpec } from '../site.ts'

const listing = z.array(
  z.object({
    address: z.string().optional(),
    ifname: z.string(),
    addr_info: z.array(z.object({ family: z.string(), local: z.string(), scope: z.string() })),
  }),
)

/** Global IPv4 addresses by hardware address, from the JSON of `ip address`. */
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
 * Compares a machine's addresses with the network table: each card has an address of the role's range in its zone (of
 * the whole zone where DHCP assigns them), and beside it only VIPs of the role.
 * @returns the differences
 */
export function misplacedAddresses(platform: Platform, machine: MachineSpec, json: string): string[] {
  const byCard = addressesByCard(json)
  const vips = Object.values(platform.vips).filter(({ role }) => role === machine.role)
  return machine.nics.flatMap(({ zone: name, mac }) => {
    const zone = zoneOf(platform, name)
    const range = roleRange(platform, machine.role, name) ?? networkRange(zone.cidr)
    const addresses = byCard.get(mac) ?? []
    const others = addresses.filter(
      (address) => !vips.some((vip) => vip.zone === name && vip.address === address),
    )
    if (others.length === 0) return [`${machine.hostname} has no address in ${name}`]
    return others
      .filter((address) => !rangeContains(range, address))
      .map((address) => `${machine.hostname} has ${address} in ${name}`)
  })
}
