import { z } from 'zod'

/** How many tests or checks passed, failed and were skipped. */
export interface Tally {
  readonly passed: number
  readonly failed: number
  readonly skipped: number
}

/** The part of vitest's JSON report that is counted. Source: `vitest run --reporter=json`, vitest 5. */
const Report = z.object({
  testResults: z.array(
    z.object({
      status: z.enum(['passed', 'failed']),
      assertionResults: z.array(
        z.object({ status: z.enum(['passed', 'failed', 'skipped', 'pending', 'todo', 'disabled']) }),
      ),
    }),
  ),
})

export const PASSED: Tally = { passed: 1, failed: 0, skipped: 0 }
export const FAILED: Tally = { passed: 0, failed: 1, skipped: 0 }

export function addTallies(tallies: readonly Tally[]): Tally {
  return tallies.reduce(
    (sum, one) => ({
      passed: sum.passed + one.passed,
      failed: sum.failed + one.failed,
      skipped: sum.skipped + one.skipped,
    }),
    { passed: 0, failed: 0, skipped: 0 },
  )
}

/**
 * Counts a vitest run. `report` is the text of its JSON report, undefined when it wrote none; `exitCode` is vitest's.
 * A file that failed without a failing test (it could not be imported, a hook threw) counts as one failure, and so
 * does a run that failed without saying where, or that ran nothing: a failed run never counts as all passed.
 */
export function tallyVitest(report: string | undefined, exitCode: number): Tally {
  const parsed = Report.safeParse(parseJson(report))
  if (!parsed.success) return FAILED
  const files = parsed.data.testResults
  const statuses = files.flatMap((file) => file.assertionResults.map((test) => test.status))
  const failedTests = statuses.filter((status) => status === 'failed').length
  const failedFiles = files.filter(
    (file) => file.status === 'failed' && file.assertionResults.every((test) => test.status !== 'failed'),
  ).length
  const passed = statuses.filter((status) => status === 'passed').length
  const failed = failedTests + failedFiles
  const silent = failed === 0 && (exitCode !== 0 || statuses.length === 0) ? 1 : 0
  return { passed, failed: failed + silent, skipped: statuses.length - passed - failedTests }
}

function parseJson(text: string | undefined): unknown {
  try {
    return text === undefined ? undefined : JSON.parse(text)
  } catch {
    return undefined
  }
}

/** The line that closes a test run: `3 passed, 1 failed`, and `, 2 skipped` when any were. */
export function closingLine(tally: Tally): string {
  const line = `${tally.passed} passed, ${tally.failed} failed`
  return tally.skipped > 0 ? `${line}, ${tally.skipped} skipped` : line
}
