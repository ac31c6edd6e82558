import { join } from 'node:path'
import { type AllowedLine, consoleFailures, harmlessLines } from '../vm/console-failures.ts'
import { Abandoned, type CheckPlan, type CheckResult, Checks, type Recorder } from './checks.ts'
import type { TestOutcome, TestRun } from './contract.ts'
import { checkArtifact, checkConsoles, type ImageCheck } from './image-checks.ts'
import { type TestBed, tearDown } from './test-bed.ts'

/** The steps of a test on a test bed that is built already. */
export interface Scenario<Name extends string> {
  readonly plan: readonly (CheckPlan & { readonly name: Name | 'console' })[]
  /** Console lines that a step provokes, by clone and start: `lb2 start 1`. */
  readonly provoked?: Readonly<Record<string, readonly AllowedLine[]>>
  run(checks: Recorder<Name | 'console'>): Promise<void>
  /** Ends every VM and server, where `tearDown` is not enough. */
  tearDown?(): Promise<void>
  /** The checks that need no running VM. */
  afterwards(checks: Recorder<Name | 'console'>): Promise<void>
}

/**
 * Runs a scenario to its end or to the first required check that fails, saves the journals if a check failed, tears the
 * test bed down, and checks every console. Every planned check is in the outcome.
 * @throws any error of the scenario outside of a check
 */
export async function runScenario<Name extends string>(
  bed: TestBed,
  scenario: Scenario<Name>,
): Promise<TestOutcome> {
  const checks = new Checks<Name | 'console'>(scenario.plan, (result) =>
    bed.progress.note(describeResult(result)),
  )
  try {
    await scenario.run(checks)
  } catch (error) {
    if (!(error instanceof Abandoned)) throw error
  } finally {
    if (checks.anyFailed()) await Promise.all(bed.clones.map((clone) => clone.saveJournal()))
    await (scenario.tearDown?.() ?? tearDown(bed))
  }
  const consoles = bed.clones.flatMap((clone) =>
    clone.boots.map(({ console }, index) => {
      const name = `${clone.name} start ${index + 1}`
      const allowed = [...harmlessLines, ...(scenario.provoked?.[name] ?? [])]
      return { name, failures: consoleFailures(console.lines, allowed), lines: console.lines.length }
    }),
  )
  await checkConsoles(checks, consoles)
  await scenario.afterwards(checks)
  return { checks: checks.results(), ...checks.observed }
}

/** Compares the image with its manifest once, after all that was done with its clones. */
export async function checkImageUnchanged(
  checks: Recorder<ImageCheck>,
  { image, folder }: TestRun,
): Promise<void> {
  checks.observed.rawSha256 ??= await checkArtifact(checks, image, join(folder, 'disk.raw'))
}

/**
 * Waits until all of these have settled, so that nothing continues in the background after a failure.
 * @throws the first failure
 */
export async function settleAll(...started: readonly Promise<unknown>[]): Promise<void> {
  for (const result of await Promise.allSettled(started)) {
    if (result.status === 'rejected') throw result.reason
  }
}

function describeResult({ status, title, detail }: CheckResult): string {
  return `${status === 'passed' ? 'ok' : status}: ${title} (${detail})`
}
