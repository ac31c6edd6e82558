import { z } from 'zod'

/** How many tests or checks passed, failed and were skipped. */
export interface Tally {
  readonly passed: number
  readonly failed: number
  readonly skipped: number
}

/** The fields of vitest's JSON report that are used. Source: `vitest run --reporter=json`, vitest 5. */
const Report = z.object({
  testResults: z.array(
    z.object({
      name: z.string(),
      status: z.enum(['passed', 'failed']),
      message: z.string().default(''),
      assertionResults: z.array(
        z.object({
          status: z.enum(['passed', 'failed', 'skipped', 'pending', 'todo', 'disabled']),
          fullName: z.string(),
          duration: z.number().nullish(),
          failureMessages: z.array(z.string()).nullish(),
        }),
      ),
    }),
  ),
})

/** The failures and durations of a vitest run. */
export interface Details {
  /** A line each: the test, and the first line of the error. */
  readonly failures: readonly string[]
  /** How long each test took, in milliseconds. */
  readonly times: readonly { readonly test: string; readonly ms: number }[]
}

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

/** What failed in a vitest run and how long its tests took; empty without a usable report. Paths are below `root`. */
export function detailsOf(report: string | undefined, root: string): Details {
  const parsed = Report.safeParse(parseJson(report))
  if (!parsed.success) return { failures: [], times: [] }
  const details = parsed.data.testResults.map(({ name, status, message, assertionResults }) => {
    const file = name.replace(`${root}/`, '')
    const failed = assertionResults.filter((test) => test.status === 'failed')
    const failures = failed.map(
      (test) => `${file}: ${test.fullName}: ${firstLine(test.failureMessages?.[0])}`,
    )
    if (status === 'failed' && failed.length === 0) failures.push(`${file}: ${firstLine(message)}`)
    const times = assertionResults.map((test) => ({
      test: `${file}: ${test.fullName}`,
      ms: test.duration ?? 0,
    }))
    return { failures, times }
  })
  return {
    failures: details.flatMap(({ failures }) => failures),
    times: details.flatMap(({ times }) => times),
  }
}

function firstLine(text = ''): string {
  return text.split('\n')[0]?.trim().slice(0, 200) ?? ''
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
