import { isIPv4 } from 'node:net'
import { parseCidr } from 'cidr-tools'
import { z } from 'zod'

/** An inclusive range of IPv4 addresses. */
export interface AddressRange {
  first: string
  last: string
}

/** Whether `text` is an IPv4 network in CIDR form, with a prefix and no host bits set. */
export function isNetwork(text: string): boolean {
  return z.cidrv4().safeParse(text).success && text.startsWith(`${networkRange(text).first}/`)
}

/** Whether `text` is a dotted IPv4 address. */
export function isAddress(text: string): boolean {
  return isIPv4(text)
}

/** The IPv4 address as a number, so that addresses can be compared. `address` must be one. */
export function addressNumber(address: string): bigint {
  return parseCidr(address).start
}

/** The first and the last address of a CIDR, network and broadcast address included. */
export function networkRange(cidr: string): AddressRange {
  const { start, end } = parseCidr(cidr)
  return { first: dottedAddress(start), last: dottedAddress(end) }
}

/** The fix for a `text` that is not a network. */
export function networkFix(text: string): string {
  if (!z.cidrv4().safeParse(text).success) return 'write an IPv4 network such as 10.0.0.0/26'
  return `it has host bits set, write ${networkRange(text).first}/${parseCidr(text).prefix}`
}

/** Whether `outer` holds all of `inner` (an address or a range). */
export function rangeContains(outer: AddressRange, inner: AddressRange | string): boolean {
  const { first, last } = typeof inner === 'string' ? { first: inner, last: inner } : inner
  return (
    addressNumber(outer.first) <= addressNumber(first) && addressNumber(last) <= addressNumber(outer.last)
  )
}

/** The number of addresses in `range`. */
export function rangeSize(range: AddressRange): number {
  return Number(addressNumber(range.last) - addressNumber(range.first)) + 1
}

/** `10.0.0.1-10.0.0.50`, as nftables and the platform file write it. */
export function formatRange(range: AddressRange): string {
  return range.first === range.last ? range.first : `${range.first}-${range.last}`
}

/** A CIDR's usable addresses (all but the network and broadcast address) without `taken`, in order. */
export function freeRanges(cidr: string, taken: readonly (AddressRange | string)[]): AddressRange[] {
  const { start, end } = parseCidr(cidr)
  const holes = taken
    .map((hole) => (typeof hole === 'string' ? { first: hole, last: hole } : hole))
    .map(({ first, last }) => ({ first: addressNumber(first), last: addressNumber(last) }))
    .sort((a, b) => Number(a.first - b.first))
  const free: AddressRange[] = []
  let next = start + 1n
  for (const hole of [...holes, { first: end, last: end }]) {
    if (hole.first > next) free.push({ first: dottedAddress(next), last: dottedAddress(hole.first - 1n) })
    if (hole.last >= next) next = hole.last + 1n
  }
  return free
}

/** The address of a number, as `addressNumber` gives it. */
export function dottedAddress(number: bigint): string {
  return [24n, 16n, 8n, 0n].map((shift) => (number >> shift) & 255n).join('.')
}
