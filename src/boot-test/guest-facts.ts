import { z } from 'zod'
import { parseJson } from '../files/json.ts'
import { SeederError } from '../report/error.ts'
import { foreignLine } from '../report/text-schemas.ts'
import type { GuestAgent } from '../vm/agent.ts'

/** The identity of a node: what two clones must never share. */
export const identitySchema = z.object({
  hostname: foreignLine.min(1),
  machineId: foreignLine.regex(/^[0-9a-f]{32}$/),
  /** Public ssh host keys, one line per key. */
  hostKeys: z.array(foreignLine.regex(/^\S+ \S+$/)).min(1),
  randomSeed: foreignLine.regex(/^[0-9a-f]{64}$/),
})
export type Identity = z.output<typeof identitySchema>

/** What `/usr/lib/seeder/status` prints in a guest. */
export const statusSchema = z.object({
  image: foreignLine,
  version: foreignLine,
  role: foreignLine,
  state: z.enum(['ready', 'failed', 'pending']),
  reason: foreignLine,
})
export type GuestStatus = z.output<typeof statusSchema>

/** Asks a guest for its own account of its first boot. */
export async function guestStatus(agent: GuestAgent): Promise<GuestStatus> {
  return parseJson(await agent.shell('/usr/lib/seeder/status || true'), statusSchema)
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

/** How long a unit took to come up. Milliseconds; `startMs` since the kernel began. */
export const unitTimeSchema = z.object({ name: foreignLine, startMs: z.number(), ms: z.number() }).readonly()
export type UnitTime = z.output<typeof unitTimeSchema>

/** Asks systemd when each service and mount began to come up, and when it was up, in the form that `parseUnitTimes` reads. */
export const SHOW_UNIT_TIMES = `systemctl show --property=Id,InactiveExitTimestampMonotonic,ActiveEnterTimestampMonotonic,InactiveEnterTimestampMonotonic '*.service' '*.mount'`

/** So many units are told: the others took less. */
const TOLD_UNITS = 15

/** The units that took longest to come up, in the order in which they began. Those that never began are not among them. */
export function parseUnitTimes(text: string): UnitTime[] {
  const times = text.split('\n\n').flatMap((block): UnitTime[] => {
    const fields = new Map(block.split('\n').map((line) => line.split('=', 2) as [string, string]))
    const micros = (key: string) => Number(fields.get(`${key}TimestampMonotonic`) ?? 0)
    const began = micros('InactiveExit')
    // What runs once and does not stay is never active: its end is that it is inactive again.
    const ended = [micros('ActiveEnter'), micros('InactiveEnter')].find((at) => at >= began) ?? began
    const name = fields.get('Id')
    if (name === undefined || began === 0) return []
    return [{ name, startMs: Math.round(began / 1000), ms: Math.round((ended - began) / 1000) }]
  })
  return times
    .sort((a, b) => b.ms - a.ms || (a.name < b.name ? -1 : 1))
    .slice(0, TOLD_UNITS)
    .sort((a, b) => a.startMs - b.startMs)
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
