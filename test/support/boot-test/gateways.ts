import type { Platform } from '../../../src/platform/schema.ts'

/** A platform with gateways in these zones, by zone name. */
export function withGateways(platform: Platform, gateways: Readonly<Record<string, string>>): Platform {
  const zones = Object.entries(platform.zones).map(([name, zone]) => {
    const gateway = gateways[name]
    return [name, gateway === undefined ? zone : { ...zone, gateway }] as const
  })
  return { ...platform, zones: Object.fromEntries(zones) }
}
