import { z } from 'zod'
import { foreignLine } from '../report/text-schemas.ts'
import type { GuestAgent } from '../vm/agent.ts'

/** How long a unit took to start, and when that began after the kernel started; in milliseconds. */
const unitTimeSchema = z.object({ name: foreignLine, startMs: z.number(), ms: z.number() }).readonly()
export type UnitTime = z.output<typeof unitTimeSchema>

/** Times of a first boot in milliseconds. */
export const bootTimesSchema = z.object({
  /** From the start of QEMU to the first-boot marker on the console. */
  readyMs: z.number().nullable(),
  /** As systemd counts them: firmware, loader, kernel, initrd, userspace. */
  stages: z.record(z.string(), z.number()),
  /** The slowest units, in the order in which they began to start. */
  units: z.array(unitTimeSchema).readonly(),
})
export type BootTimes = z.output<typeof bootTimesSchema>

/** Reads the times of a boot from the guest's systemd. */
export async function readBootTimes(agent: GuestAgent): Promise<Pick<BootTimes, 'stages' | 'units'>> {
  return {
    stages: parseBootStages(await agent.shell('systemd-analyze time')),
    units: parseUnitTimes(await agent.shell(SHOW_UNIT_TIMES)),
  }
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

// The form that `parseUnitTimes` reads.
const SHOW_UNIT_TIMES = `systemctl show --property=Id,InactiveExitTimestampMonotonic,ActiveEnterTimestampMonotonic,InactiveEnterTimestampMonotonic '*.service' '*.mount'`
const MAXIMUM_UNITS = 15

/** The slowest units, in the order in which they began to start. Units that never started are left out. */
export function parseUnitTimes(text: string): UnitTime[] {
  const times = text.split('\n\n').flatMap((block): UnitTime[] => {
    const fields = new Map(block.split('\n').map((line) => line.split('=', 2) as [string, string]))
    const micros = (key: string) => Number(fields.get(`${key}TimestampMonotonic`) ?? 0)
    const began = micros('InactiveExit')
    // A oneshot unit that does not remain is never active: it ends when it is inactive again.
    const ended = [micros('ActiveEnter'), micros('InactiveEnter')].find((time) => time >= began) ?? began
    const name = fields.get('Id')
    if (name === undefined || began === 0) return []
    return [{ name, startMs: Math.round(began / 1000), ms: Math.round((ended - began) / 1000) }]
  })
  return times
    .sort((a, b) => b.ms - a.ms || (a.name < b.name ? -1 : 1))
    .slice(0, MAXIMUM_UNITS)
    .sort((a, b) => a.startMs - b.startMs)
}

/** Milliseconds of a duration as systemd writes it: `1min 2.345s`. */
function durationMs(text: string): number {
  const units: Record<string, number> = { min: 60_000, s: 1000, ms: 1, us: 0.001 }
  let total = 0
  for (const [, value, unit = ''] of text.matchAll(/([\d.]+)(min|ms|us|s)/g)) {
    total += Number(value) * (units[unit] ?? 0)
  }
  return Math.round(total)
}
