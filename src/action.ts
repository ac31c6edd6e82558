import { warning } from '@actions/core'
import { readInputs } from './action/inputs.ts'
import { createStepProgress } from './action/progress.ts'
import { hideSecrets, tellError, tellOutcome } from './action/runner.ts'
import { takeSteps } from './action/sequence.ts'
import { checkoutOf, createContext } from './commands/context.ts'
import { interruption, listenForInterruption } from './process/interruption.ts'
import { visible } from './report/printable.ts'
import type { Progress } from './report/progress.ts'

/** The GitHub action: one step of a workflow is one command, or a few in their order. */
listenForInterruption()
const { env } = process
const workspace = env.GITHUB_WORKSPACE || process.cwd()
const shown: Progress[] = []
let told = 0
try {
  const all = readInputs(env)
  hideSecrets(all)
  // Not passed on to what is started from here on; the command has it among its inputs.
  delete env['INPUT_SIGNING-KEY']
  // From here on the inputs are the environment that the command line has.
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
  await takeSteps(all, { env, context, warn: (text) => warning(visible(text)) }, async (outcome) => {
    await tellOutcome(outcome)
    told++
  })
} catch (error) {
  for (const progress of shown) progress.stop()
  tellError(error, workspace, told > 0)
  // What cannot be stopped, the upload of an artifact, would be waited for.
  if (interruption.aborted) process.exit()
}
