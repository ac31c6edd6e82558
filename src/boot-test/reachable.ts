import { networkRange, rangeContains } from '../platform/address.ts'
import { inboundFlows } from '../platform/flows.ts'
import type { Platform, RoleName } from '../platform/schema.ts'

/** Whether the platform file opens a port of a role (with icmp: echo requests) to an address that is no pod of the machine itself. */
export function mayConnect(
  platform: Platform,
  role: RoleName,
  from: string,
  port: number,
  protocol: 'tcp' | 'udp' | 'icmp' = 'tcp',
): boolean {
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

/** Whether a CIDR or a range, `10.0.0.1-10.0.0.50`, holds an address. */
function includes(text: string, address: string): boolean {
  const [first = '', last] = text.split('-')
  return rangeContains(last === undefined ? networkRange(first) : { first, last }, address)
}
