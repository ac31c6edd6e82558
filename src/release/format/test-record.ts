import { z } from 'zod'
import { foreignLine, foreignText } from '../../report/text-schemas.ts'

const check = z.object({
  name: foreignLine,
  /** What it is about: the image, its role, the artifact. */
  group: foreignLine.optional(),
  title: foreignLine,
  status: z.enum(['passed', 'failed', 'skipped']),
  detail: foreignText,
  ms: z.number().optional(),
})

/** How a first boot went. `startMs` counts from where the kernel began, `readyMs` from where the machine was switched on. */
const boot = z.object({
  readyMs: z.number().nullable(),
  /** firmware, loader, kernel, initrd and userspace, as systemd counts them. */
  stages: z.record(foreignLine, z.number()).optional(),
  /** The units that took longest, in the order in which they began. */
  units: z.array(z.object({ name: foreignLine, startMs: z.number(), ms: z.number() })).optional(),
})

/**
 * What outlives a test of an image, of its `test-report.json`: durations in milliseconds. What is optional was not in the
 * reports of the first versions.
 */
export const testRecordSchema = z.object({
  image: foreignLine,
  version: foreignLine.nullable(),
  passed: z.boolean(),
  raw: z.object({ sha256: foreignLine.nullable() }),
  accelerator: z.object({ kind: z.enum(['kvm', 'tcg']), qemu: foreignLine.optional() }),
  started: z.iso.datetime().optional(),
  duration: z.number(),
  checks: z.array(check),
  boot,
  /** What else was measured, by name: `failoverMs`. */
  measured: z.record(foreignLine, z.number()).optional(),
})

export type TestRecord = z.output<typeof testRecordSchema>
export type RecordedCheck = TestRecord['checks'][number]

/** How many checks ended how. */
export const tallySchema = z
  .object({ passed: z.number(), failed: z.number(), skipped: z.number() })
  .readonly()

export type Tally = z.output<typeof tallySchema>

export function tallyOf({ checks }: Pick<TestRecord, 'checks'>): Tally {
  const count = (status: RecordedCheck['status']) => checks.filter((one) => one.status === status).length
  return { passed: count('passed'), failed: count('failed'), skipped: count('skipped') }
}
