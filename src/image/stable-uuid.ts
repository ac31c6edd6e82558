import { createHash } from 'node:crypto'

/** A UUID that only depends on `name`: the same image has the same ones, wherever and whenever it is built. */
export function stableUuid(name: string): string {
  const hex = createHash('sha256').update(`seeder ${name}`).digest('hex')
  const variant = ((Number.parseInt(hex.slice(16, 17), 16) & 0x3) | 0x8).toString(16)
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20, 32)}`
}
