import { z } from 'zod'

const check = z.object({
  name: z.string(),
  title: z.string(),
  status: z.enum(['passed', 'failed', 'skipped']),
  detail: z.string(),
})

/** What outlives a proof of an image, of its `test-report.json`: durations in milliseconds. */
export const testRecordSchema = z.object({
  image: z.string(),
  version: z.string().nullable(),
  passed: z.boolean(),
  raw: z.object({ sha256: z.string().nullable() }),
  accelerator: z.object({ kind: z.enum(['kvm', 'tcg']) }),
  duration: z.number(),
  checks: z.array(check),
  boot: z.object({ readyMs: z.number().nullable() }),
})

export type TestRecord = z.output<typeof testRecordSchema>
export type RecordedCheck = TestRecord['checks'][number]

/** How many checks ended how. */
export interface Tally {
  readonly passed: number
  readonly failed: number
  readonly skipped: number
}

export function tallyOf({ checks }: Pick<TestRecord, 'checks'>): Tally {
  const count = (status: RecordedCheck['status']) => checks.filter((one) => one.status === status).length
  return { passed: count('passed'), failed: count('failed'), skipped: count('skipped') }
}
