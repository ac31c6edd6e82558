import { join } from 'node:path'
import type { Clone } from '../vm/clone.ts'
import { type AllowedLine, consoleFailures, harmlessLines } from '../vm/console-failures.ts'
import { Abandoned, type CheckPlan, type CheckResult, Checks, type Recorder } from './checks.ts'
import type { Observations, TestOutcome, TestProgress, TestRun } from './contract.ts'
import { checkArtifact, checkConsoles, type ImageCheck } from './image-checks.ts'

/** What a scenario takes place on, and what may be said on its consoles. */
export interface Scene {
  /** Every clone that was made, those that are gone included. */
  readonly clones: readonly Clone[]
  /** Ends everything that runs. */
  tearDown(): Promise<void>
  /** Console lines that a step provokes, by clone and start: `lb2 start 1`. */
  readonly provoked: Readonly<Record<string, readonly AllowedLine[]>>
}

/**
 * Plays a scenario to its end or to the check that ends it, saves the journals when something failed, clears the
 * scene, and reads every console. Every planned check is in the outcome.
 * @param afterwards what is left to check when no VM runs any more
 * @throws what the scenario throws, except that a check it needs has failed
 */
export async function play<Name extends string>(
  plan: readonly (CheckPlan & { readonly name: Name | 'console' })[],
  progress: TestProgress,
  scene: Scene,
  scenario: (checks: Checks<Name | 'console'>, seen: Observations) => Promise<void>,
  afterwards: (checks: Checks<Name | 'console'>, seen: Observations) => Promise<void>,
): Promise<TestOutcome> {
  const checks = new Checks<Name | 'console'>(plan, (result) => progress.note(describeResult(result)))
  // Kept outside of the scenario, so that a failure half-way loses nothing.
  const seen: Observations = {
    boot: { readyMs: null, stages: {}, units: [] },
    rawSha256: null,
    balanced: [],
    measured: {},
  }
  try {
    await scenario(checks, seen)
  } catch (error) {
    if (!(error instanceof Abandoned)) throw error
  } finally {
    if (checks.anyFailed()) await Promise.all(scene.clones.map((clone) => clone.saveJournal()))
    await scene.tearDown()
  }
  await scanConsoles(checks, scene)
  await afterwards(checks, seen)
  return { checks: checks.results(), ...seen }
}

/** Plays the scenario of one image's contract. The image is read once more at the end where the scenario has not done it. */
export function playImage<Name extends string>(
  proof: TestRun,
  plan: readonly (CheckPlan & { readonly name: Name | ImageCheck })[],
  scene: Scene,
  scenario: (checks: Checks<Name | ImageCheck>, seen: Observations) => Promise<void>,
): Promise<TestOutcome> {
  return play<Name | ImageCheck>(plan, proof.progress, scene, scenario, (checks, seen) =>
    readImage(checks, proof, seen),
  )
}

/** Compares the image with its manifest after all that was done with its clones, once. */
export async function readImage(
  checks: Recorder<ImageCheck>,
  proof: TestRun,
  seen: Observations,
): Promise<void> {
  seen.rawSha256 ??= await checkArtifact(checks, proof.candidate, join(proof.folder, 'disk.raw'))
}

async function scanConsoles(checks: Parameters<typeof checkConsoles>[0], scene: Scene): Promise<void> {
  const consoles = scene.clones.flatMap((clone) =>
    clone.boots.map(({ console }, at) => {
      const name = `${clone.name} start ${at + 1}`
      const allowed = [...harmlessLines, ...(scene.provoked[name] ?? [])]
      return { name, failures: consoleFailures(console.lines, allowed), lines: console.lines.length }
    }),
  )
  await checkConsoles(checks, consoles)
}

/**
 * Waits for everything that was begun, and only then tells what failed, so that nothing works on in the background.
 * @throws the first failure
 */
export async function together(...begun: readonly Promise<unknown>[]): Promise<void> {
  for (const one of await Promise.allSettled(begun)) if (one.status === 'rejected') throw one.reason
}

function describeResult({ status, title, detail }: CheckResult): string {
  return `${status === 'passed' ? 'ok' : status}: ${title} (${detail})`
}
