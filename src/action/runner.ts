import { appendFile } from 'node:fs/promises'
import { error as annotate, setFailed, setOutput, setSecret } from '@actions/core'
import { interruption } from '../process/interruption.ts'
import { causeChain, StoppedError } from '../report/error.ts'
import { harmless } from '../report/print.ts'
import { visible } from '../report/printable.ts'
import { annotationsOf } from './annotations.ts'
import type { Inputs } from './input-schemas.ts'
import type { StepOutcome } from './step.ts'

/** Masks the secrets among the inputs in the log. */
export function hideSecrets(all: readonly Inputs[]): void {
  const secrets = all.flatMap((inputs) => [
    inputs.token,
    'signing-key' in inputs ? inputs['signing-key'] : undefined,
  ])
  for (const secret of new Set(secrets)) if (secret !== undefined) setSecret(secret)
}

/** Writes a command's outputs, summary and failures to the runner. */
export async function reportOutcome({ outputs, summary, failures = [] }: StepOutcome): Promise<void> {
  for (const [name, value] of Object.entries(outputs)) setOutput(name, value)
  const file = process.env.GITHUB_STEP_SUMMARY
  if (file && summary !== undefined) await appendFile(file, summary)
  const last = failures.at(-1)
  if (last === undefined) return
  for (const failure of failures.slice(0, -1)) annotate(visible(failure))
  setFailed(visible(last))
}

/**
 * Fails the step with an error: at the lines of a definition where the error names them.
 * @param afterOthers whether earlier commands of the step have completed
 */
export function reportError(thrown: unknown, workspace: string, afterOthers: boolean): void {
  // Any other error after an interruption is a consequence of it; a StoppedError says what is left behind.
  if (interruption.aborted && !(thrown instanceof StoppedError)) {
    setFailed(
      `stopped; nothing was left behind${afterOthers ? ' except the results of the commands before' : ''}`,
    )
    return
  }
  const annotations = annotationsOf(thrown, workspace)
  for (const { message, place } of annotations.slice(0, -1)) annotate(message, place)
  const last = annotations.at(-1)
  if (last?.place === undefined) setFailed(last?.message ?? 'it failed')
  else {
    annotate(last.message, last.place)
    process.exitCode = 1
  }
  // Folded: for debugging.
  const causes = causeChain(thrown)
  if (causes.length > 0)
    console.log(['::group::What led to it', ...causes.map(harmless), '::endgroup::'].join('\n'))
}
