import { z } from 'zod'
import { parseJson } from '../files/json.ts'
import { SeederError } from '../report/error.ts'
import type { GuestAgent } from '../vm/agent.ts'

const listing = z.object({ nftables: z.array(z.record(z.string(), z.unknown())) })

/**
 * nft's JSON listing of a table with what differs between two loads of the same rules taken away: handles, the
 * counters' values, and the listing's own header. One JSON text per object, in the kernel's order.
 */
export function comparableRules(json: string): string[] {
  return parseJson(json, listing)
    .nftables.filter((entry) => !('metainfo' in entry))
    .map((entry) => JSON.stringify(withoutState(entry)))
}

function withoutState(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutState)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .filter(([key]) => key !== 'handle')
      .map(([key, inner]) => [key, key === 'counter' ? null : withoutState(inner)]),
  )
}

/**
 * Compares the guest's live table `inet seeder` with the rules it should have. The expected text goes through the
 * same guest's nft and kernel, in a network namespace of its own, so that both sides are spelled the same way.
 * @returns how many objects were compared
 * @throws SeederError with the first rule that differs
 */
export async function compareFirewall(agent: GuestAgent, expected: string): Promise<number> {
  const list = 'nft -j list table inet seeder'
  const live = comparableRules(await agent.shell(list))
  const meant = comparableRules(
    await agent.output(['/usr/bin/unshare', '--net', '/bin/bash', '-euc', `nft -f - && ${list}`], expected),
  )
  const at = Array.from({ length: Math.max(live.length, meant.length) }).findIndex(
    (_, index) => live[index] !== meant[index],
  )
  if (at < 0) return live.length
  throw new SeederError(
    `the firewall differs from the platform file: it has ${live[at] ?? 'nothing'} where ${meant[at] ?? 'nothing'} is meant`,
    { fix: 'build the image again from this platform.yaml' },
  )
}
