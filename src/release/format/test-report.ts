import { z } from 'zod'
import type { Manifest } from '../../build/manifest.ts'
import { parseJson, whyNot } from '../../files/json.ts'
import { SeederError } from '../../report/error.ts'
import { foreignLine, foreignText } from '../../report/text-schemas.ts'

/** The file of a build folder and the asset of a release. */
export const REPORT_FILE = 'test-report.json'

const check = z.object({
  name: foreignLine,
  /** What it tests: the image, its role, the artifact. */
  group: foreignLine.optional(),
  title: foreignLine,
  status: z.enum(['passed', 'failed', 'skipped']),
  detail: foreignText,
  ms: z.number().optional(),
})

/** The first boot. `startMs` counts from the start of the kernel, `readyMs` from power-on. */
const boot = z.object({
  readyMs: z.number().nullable(),
  /** firmware, loader, kernel, initrd and userspace, as systemd counts them. */
  stages: z.record(foreignLine, z.number()).optional(),
  /** The units that took longest, in the order in which they started. */
  units: z.array(z.object({ name: foreignLine, startMs: z.number(), ms: z.number() })).optional(),
})

/**
 * The parts of `test-report.json` that are used after the test: durations in milliseconds. The reports of the first
 * versions do not have what is optional.
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
  /** Other measurements by name, such as `failoverMs`. */
  measured: z.record(foreignLine, z.number()).optional(),
})

export type TestRecord = z.output<typeof testRecordSchema>
export type RecordedCheck = TestRecord['checks'][number]

/** The number of checks by their result. */
export const tallySchema = z
  .object({ passed: z.number(), failed: z.number(), skipped: z.number() })
  .readonly()

export type Tally = z.output<typeof tallySchema>

export function tallyOf({ checks }: Pick<TestRecord, 'checks'>): Tally {
  const count = (status: RecordedCheck['status']) =>
    checks.filter((recorded) => recorded.status === status).length
  return { passed: count('passed'), failed: count('failed'), skipped: count('skipped') }
}

/** Formats the number of checks by their result, as in "41 passed, 2 skipped". */
export function countChecks(record: TestRecord): string {
  const { passed, skipped } = tallyOf(record)
  return `${passed} passed${skipped === 0 ? '' : `, ${skipped} skipped`}`
}

/** The form in which `seeder test` writes it (src/boot-test/report.ts). */
const reportSchema = testRecordSchema.extend({ schema: z.literal(1) })

/**
 * Reads a test report, which has to be green and about the image of this manifest.
 * @throws SeederError for any other report
 */
export function requireGreenReport(text: string, manifest: Manifest): TestRecord {
  const report = parseReport(text)
  const name = `${manifest.image} ${manifest.version}`
  const failed = report.checks.filter(({ status }) => status === 'failed')
  let problem: string | undefined
  if (report.image !== manifest.image || report.version !== manifest.version) {
    problem = `${REPORT_FILE} is about ${report.image} ${report.version ?? ''}, and not about ${name}`
  } else if (report.raw.sha256 !== manifest.raw.sha256) {
    problem = `${REPORT_FILE} is about another disk of ${name} (raw sha256 ${report.raw.sha256 ?? 'unknown'}, not ${manifest.raw.sha256})`
  } else if (!report.passed || failed.length > 0) {
    problem = `${name} did not pass its test${failed.map((recorded) => `, ${recorded.name}`).join('')}`
  } else if (!report.checks.some(({ status }) => status === 'passed')) {
    problem = `the test of ${name} checked nothing`
  }
  if (problem === undefined) return report
  throw new SeederError(problem, { fix: 'run `seeder test` on this build, and see its output' })
}

function parseReport(text: string): TestRecord {
  try {
    return parseJson(text, reportSchema)
  } catch (cause) {
    throw new SeederError(`${REPORT_FILE} is not the report of a test: ${whyNot(cause)}`, {
      fix: 'run `seeder test` on this build',
      cause,
    })
  }
}
