import { z } from 'zod'
import { SeederError } from '../report/error.ts'
import type { GuestAgent } from './agent.ts'

/** The identity of a node: what two clones must never share. */
export const identitySchema = z.object({
  hostname: z.string().min(1),
  machineId: z.string().regex(/^[0-9a-f]{32}$/),
  /** Public ssh host keys, one line per key. */
  hostKeys: z.array(z.string().regex(/^\S+ \S+$/)).min(1),
  randomSeed: z.string().regex(/^[0-9a-f]{64}$/),
})
export type Identity = z.output<typeof identitySchema>

/** What `/usr/lib/seeder/status` prints in a guest. */
export const statusSchema = z.object({
  image: z.string(),
  version: z.string(),
  role: z.string(),
  state: z.enum(['ready', 'failed', 'pending']),
  reason: z.string(),
})
export type GuestStatus = z.output<typeof statusSchema>

/** Asks a guest for its own account of its first boot. */
export async function guestStatus(agent: GuestAgent): Promise<GuestStatus> {
  return statusSchema.parse(JSON.parse(await agent.shell('/usr/lib/seeder/status || true')))
}

// The random seed is written at shutdown and at boot; only its digest leaves the guest.
const identityScript = `
echo "hostname=$(cat /proc/sys/kernel/hostname)"
echo "machineId=$(cat /etc/machine-id)"
shopt -s nullglob
for key in /etc/ssh/ssh_host_*_key.pub; do echo "hostKey=$(cut -d' ' -f1,2 "$key")"; done
echo "randomSeed=$(sha256sum /var/lib/systemd/random-seed | cut -d' ' -f1)"
`

/**
 * Reads a guest's identity.
 * @throws SeederError when a part of it is missing
 */
export async function readIdentity(agent: GuestAgent): Promise<Identity> {
  const lines = (await agent.shell(identityScript)).trim().split('\n')
  const values = (key: string) =>
    lines.filter((line) => line.startsWith(`${key}=`)).map((line) => line.slice(key.length + 1))
  const identity = identitySchema.safeParse({
    hostname: values('hostname')[0],
    machineId: values('machineId')[0],
    hostKeys: values('hostKey'),
    randomSeed: values('randomSeed')[0],
  })
  if (identity.success) return identity.data
  const missing = identity.error.issues.map(({ path }) => path[0]).join(', ')
  throw new SeederError(`read the identity of a guest; it has no proper ${missing}: ${lines.join('; ')}`)
}

/** Durations of a boot's stages in milliseconds, from `systemd-analyze time`; stages it does not name are absent. */
export function parseBootStages(text: string): Record<string, number> {
  const stages: Record<string, number> = {}
  const first = text.split('\n')[0] ?? ''
  for (const [, duration = '', name = ''] of first.matchAll(/((?:[\d.]+(?:min|ms|us|s) ?)+)\((\w+)\)/g)) {
    stages[name] = durationMs(duration)
  }
  return stages
}

/** systemd's way of writing durations, `1min 2.345s`, in milliseconds. */
function durationMs(text: string): number {
  const units: Record<string, number> = { min: 60_000, s: 1000, ms: 1, us: 0.001 }
  let total = 0
  for (const [, value, unit = ''] of text.matchAll(/([\d.]+)(min|ms|us|s)/g)) {
    total += Number(value) * (units[unit] ?? 0)
  }
  return Math.round(total)
}
