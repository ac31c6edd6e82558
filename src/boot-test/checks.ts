import { z } from 'zod'
import { describeError, SeederError } from '../report/error.ts'
import { visible } from '../report/printable.ts'

const planned = z.object({
  name: z.string(),
  group: z.string(),
  /** What is claimed, for people. */
  title: z.string(),
})

/** What a check is about, known before anything runs. */
export type CheckPlan = Readonly<z.output<typeof planned>>

/** A check and how it ended. */
export const checkResultSchema = z
  .object({
    ...planned.shape,
    status: z.enum(['passed', 'failed', 'skipped']),
    /** What was seen, or why not. */
    detail: z.string(),
    ms: z.int().nonnegative(),
  })
  .readonly()

export type CheckResult = z.output<typeof checkResultSchema>

/** Where the outcome of checks with these names goes. */
export interface Recorder<Name extends string> {
  /**
   * Runs one check. Its result is the text it returns; what it throws makes it failed and is not thrown on.
   * @returns whether it passed
   */
  run(name: Name, work: () => Promise<string>): Promise<boolean>
  /** As `run`, for what everything after it stands on: the scenario ends when it fails. */
  require(name: Name, work: () => Promise<string>): Promise<void>
  /** A check that cannot be made here, and why. */
  skip(name: Name, reason: string): void
}

/** Collects the outcome of a fixed list of checks, so that a report always has the same ones. */
export class Checks<Name extends string> implements Recorder<Name> {
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

  /** Every planned check in its order; those that were not reached are skipped. */
  results(): CheckResult[] {
    const reason = this.abandonedAt ? `not reached: ${this.abandonedAt} failed` : 'not reached'
    return this.plan.map(
      (plan) => this.done.get(plan.name) ?? { ...plan, status: 'skipped', detail: reason, ms: 0 },
    )
  }

  private record(name: Name, status: CheckResult['status'], detail: string, ms: number): void {
    const plan = this.plan.find((one) => one.name === name)
    if (!plan) throw new SeederError(`the check ${name} is not planned`)
    // What a guest says is in it.
    const result = { ...plan, status, detail: visible(detail), ms: Math.round(ms) }
    this.done.set(name, result)
    this.onResult(result)
  }
}

/** A check failed that the rest of the scenario needs. Its result is recorded already. */
export class Abandoned extends Error {
  constructor(name: string) {
    super(`${name} failed`)
  }
}

/** Fails a check unless `holds`. */
export function expect(holds: boolean, found: string): asserts holds {
  if (!holds) throw new SeederError(found)
}
