import { warning } from '@actions/core'
import { readInputs } from './action/inputs.ts'
import { createStepProgress } from './action/progress.ts'
import { hideSecrets, reportError, reportOutcome } from './action/runner.ts'
import { runCommands } from './action/sequence.ts'
import { checkoutOf, createContext } from './commands/context.ts'
import { interruption, listenForInterruption } from './process/interruption.ts'
import { visible } from './report/printable.ts'
import type { Progress } from './report/progress.ts'

/** The GitHub action: a step of a workflow runs one command, or several in order. */
listenForInterruption()
const { env } = process
const workspace = env.GITHUB_WORKSPACE || process.cwd()
const shown: Progress[] = []
let reported = 0
try {
  const all = readInputs(env)
  hideSecrets(all)
  // No child process gets it; the command has it in its inputs.
  delete env['INPUT_SIGNING-KEY']
  // The commands read the token from the environment, as on the command line.
  const { token, project } = all[0]
  if (token !== undefined) env.GITHUB_TOKEN = token
  process.chdir(workspace)
  const options = project === undefined ? {} : { project }
  const context = {
    ...createContext(options, checkoutOf(import.meta.dirname)),
    progress() {
      const progress = createStepProgress(console.log)
      shown.push(progress)
      return progress
    },
  }
  await runCommands(all, { env, context, warn: (text) => warning(visible(text)) }, async (outcome) => {
    await reportOutcome(outcome)
    reported++
  })
} catch (error) {
  for (const progress of shown) progress.stop()
  reportError(error, workspace, reported > 0)
  // An upload of an artifact cannot be stopped, and Node.js would wait for it.
  if (interruption.aborted) process.exit()
}
