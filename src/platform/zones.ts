import { SeederError } from '../report/error.ts'
import type { Platform, Zone } from './schema.ts'

/** A zone of the platform by its name. */

export function zoneOf(platform: Platform, name: string): Zone {
  const zone = platform.zones[name]
  if (!zone) throw new SeederError(`the platform file has no zone ${name}`)
  return zone
}
/** `24` of `10.0.0.0/24`. */

export function prefixOf(zone: Zone): string {
  return zone.cidr.split('/')[1] ?? '32'
}
