import { z } from 'zod'
import { parseJson } from '../files/json.ts'
import { SeederError } from '../report/error.ts'
import type { GuestAgent } from '../vm/agent.ts'

const listing = z.object({ nftables: z.array(z.record(z.string(), z.unknown())) })

/**
 * The objects of nft's JSON listing of a table, one JSON text each, in the kernel's order. Without what differs between
 * two loads of the same rules: handles, values of counters, and the header of the listing.
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
 * Compares the guest's table `inet seeder` with the expected rules. Those go through the nft and the kernel of the same
 * guest, in a network namespace of their own, so that both listings have the same form.
 * @returns the number of compared objects
 * @throws SeederError with the first rule that differs
 */
export async function compareFirewall(agent: GuestAgent, expected: string): Promise<number> {
  const list = 'nft -j list table inet seeder'
  const live = comparableRules(await agent.shell(list))
  const wanted = comparableRules(
    await agent.output(['/usr/bin/unshare', '--net', '/bin/bash', '-euc', `nft -f - && ${list}`], expected),
  )
  const index = Array.from({ length: Math.max(live.length, wanted.length) }).findIndex(
    (_, position) => live[position] !== wanted[position],
  )
  if (index < 0) return live.length
  throw new SeederError(
    `the firewall differs from the platform file: found ${live[index] ?? 'nothing'}, expected ${wanted[index] ?? 'nothing'}`,
    { fix: 'build the image again from this platform.yaml' },
  )
}
