import { z } from 'zod'
import { describeError, SeederError } from '../report/error.ts'
import { visible } from '../report/printable.ts'
import type { BootTimes } from './boot-times.ts'

const planSchema = z.object({
  name: z.string(),
  group: z.string(),
  /** The claim, for people. */
  title: z.string(),
})

/** A check before it runs. */
export type CheckPlan = Readonly<z.output<typeof planSchema>>

/** A check and its result. */
export const checkResultSchema = z
  .object({
    ...planSchema.shape,
    status: z.enum(['passed', 'failed', 'skipped']),
    /** What was found, or why the check failed or was skipped. */
    detail: z.string(),
    ms: z.int().nonnegative(),
  })
  .readonly()

export type CheckResult = z.output<typeof checkResultSchema>

/** What was measured beside the checks. */
export interface Observations {
  readonly boot: BootTimes
  /** The digest of the disk inside the image, if it could be read. */
  rawSha256: string | null
  /** Responses that came through the image, in order: the backend, and the client address that it saw. */
  balanced: readonly { readonly backend: string; readonly client: string }[]
  /** Durations in milliseconds, by name. */
  readonly measured: Record<string, number>
}

/** Records the results of the checks with these names. */
export interface Recorder<Name extends string> {
  readonly observed: Observations
  /**
   * Runs one check. Its detail is the text that `work` returns; an error of `work` makes it failed and is not thrown.
   * @returns whether it passed
   */
  run(name: Name, work: () => Promise<string>): Promise<boolean>
  /** As `run`, for a check that all later ones depend on: when it fails, the scenario ends. */
  require(name: Name, work: () => Promise<string>): Promise<void>
  /** Records a check that cannot be made. */
  skip(name: Name, reason: string): void
}

/** Collects the results of a fixed list of checks, so that every report has the same ones. */
export class Checks<Name extends string> implements Recorder<Name> {
  // Kept outside of the scenario, so that a failure half-way loses nothing.
  readonly observed: Observations = {
    boot: { readyMs: null, stages: {}, units: [] },
    rawSha256: null,
    balanced: [],
    measured: {},
  }
  private readonly plan: readonly (CheckPlan & { readonly name: Name })[]
  private abandonedAt: Name | undefined
  private readonly done = new Map<Name, CheckResult>()
  private readonly onResult: (result: CheckResult) => void

  constructor(
    plan: readonly (CheckPlan & { readonly name: Name })[],
    onResult: (result: CheckResult) => void = () => undefined,
  ) {
    this.plan = plan
    this.onResult = onResult
  }

  async run(name: Name, work: () => Promise<string>): Promise<boolean> {
    const began = performance.now()
    try {
      this.record(name, 'passed', await work(), performance.now() - began)
      return true
    } catch (error) {
      this.record(name, 'failed', describeError(error).replaceAll('\n', ' '), performance.now() - began)
      return false
    }
  }

  async require(name: Name, work: () => Promise<string>): Promise<void> {
    if (await this.run(name, work)) return
    this.abandonedAt ??= name
    throw new Abandoned(name)
  }

  skip(name: Name, reason: string): void {
    this.record(name, 'skipped', reason, 0)
  }

  /** Whether a check has failed so far. */
  anyFailed(): boolean {
    return [...this.done.values()].some(({ status }) => status === 'failed')
  }

  /** Every planned check in order; those that were not reached are skipped. */
  results(): CheckResult[] {
    const reason = this.abandonedAt ? `not reached: ${this.abandonedAt} failed` : 'not reached'
    return this.plan.map(
      (plan) => this.done.get(plan.name) ?? { ...plan, status: 'skipped', detail: reason, ms: 0 },
    )
  }

  private record(name: Name, status: CheckResult['status'], detail: string, ms: number): void {
    const plan = this.plan.find((check) => check.name === name)
    if (!plan) throw new SeederError(`the check ${name} is not planned`)
    // The detail may hold output of the guest.
    const result = { ...plan, status, detail: visible(detail), ms: Math.round(ms) }
    this.done.set(name, result)
    this.onResult(result)
  }
}

/** Ends a scenario after a required check, whose result is recorded, has failed. */
export class Abandoned extends Error {
  constructor(name: string) {
    super(`${name} failed`)
  }
}

/** Fails a check unless `condition` holds. */
export function expect(condition: boolean, found: string): asserts condition {
  if (!condition) throw new SeederError(found)
}
