import { appendFile } from 'node:fs/promises'
import { error as annotate, setFailed, setOutput, setSecret } from '@actions/core'
import { interruption } from '../process/interruption.ts'
import { causeChain, StoppedError } from '../report/error.ts'
import { harmless } from '../report/print.ts'
import { visible } from '../report/printable.ts'
import { annotationsOf } from './annotations.ts'
import type { Inputs } from './input-schemas.ts'
import type { StepOutcome } from './step.ts'

/** Hides the secrets among the inputs in everything that is printed from now on. */
export function hideSecrets(all: readonly Inputs[]): void {
  const secrets = all.flatMap((inputs) => [
    inputs.token,
    'signing-key' in inputs ? inputs['signing-key'] : undefined,
  ])
  for (const secret of new Set(secrets)) if (secret !== undefined) setSecret(secret)
}

/** Passes on what a step found: outputs, summary and, when the job is to fail, why. */
export async function tellOutcome({ outputs, summary, failures = [] }: StepOutcome): Promise<void> {
  for (const [name, value] of Object.entries(outputs)) setOutput(name, value)
  const file = process.env.GITHUB_STEP_SUMMARY
  if (file && summary !== undefined) await appendFile(file, summary)
  const last = failures.at(-1)
  if (last === undefined) return
  for (const failure of failures.slice(0, -1)) annotate(visible(failure))
  setFailed(visible(last))
}

/**
 * Lets the step fail with what was thrown: at the lines of a definition where it is about them.
 * @param afterOthers whether commands before have done their work, which stays
 */
export function tellError(thrown: unknown, workspace: string, afterOthers: boolean): void {
  // What is thrown while everything is being stopped is about that; a StoppedError says what there is now.
  if (interruption.aborted && !(thrown instanceof StoppedError)) {
    setFailed(
      `stopped; nothing was left behind${afterOthers ? ' but what the commands before had done' : ''}`,
    )
    return
  }
  const annotations = annotationsOf(thrown, workspace)
  for (const { message, at } of annotations.slice(0, -1)) annotate(message, at)
  const last = annotations.at(-1)
  if (last?.at === undefined) setFailed(last?.message ?? 'it failed')
  else {
    annotate(last.message, last.at)
    process.exitCode = 1
  }
  // Folded away: it is for whoever looks for a fault of this program.
  const causes = causeChain(thrown)
  if (causes.length > 0)
    console.log(['::group::What led to it', ...causes.map(harmless), '::endgroup::'].join('\n'))
}
