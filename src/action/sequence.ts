import { proofFolder } from '../boot/proof-process.ts'
import { readEvent } from './event.ts'
import type { Inputs } from './inputs.ts'
import type { Outcome, Step } from './step.ts'
import { takeStep } from './steps.ts'

/**
 * Does what a step asks for, one command after the other, and tells how each came out. What a command finds wrong ends
 * the sequence, except that a pull request is still told of it. Throws as the commands do; the later ones are left out then.
 */
export async function takeSteps(
  all: readonly Inputs[],
  step: Step,
  tell: (outcome: Outcome) => Promise<void>,
): Promise<void> {
  // The copy of this program that proves an image does nothing else again.
  const own = proofFolder() === undefined ? all : all.filter(({ command }) => command === 'test')
  let failed = false
  for (const inputs of own) {
    if (inputs.command === 'comment' ? await isLeftOut(all, step) : failed) continue
    const outcome = await takeStep(inputs, step)
    if (outcome === undefined) continue
    await tell(outcome)
    failed ||= (outcome.failures ?? []).length > 0
  }
}

/** A comment among other commands is for runs that have a pull request. */
async function isLeftOut(all: readonly Inputs[], { env, context }: Step): Promise<boolean> {
  if (all.length === 1 || (await readEvent(env)).kind === 'pull-request') return false
  context.progress().note('no pull request to write a comment for')
  return true
}
