import { warning } from '@actions/core'
import { readInputs } from './action/inputs.ts'
import { createStepProgress } from './action/progress.ts'
import { hideSecrets, tellError, tellOutcome } from './action/runner.ts'
import { takeStep } from './action/steps.ts'
import { checkoutOf, createContext } from './commands/context.ts'
import { interruption, listenForInterruption } from './interruption.ts'
import type { Progress } from './report/progress.ts'

/** The GitHub action: one step of a workflow is one command. */
listenForInterruption()
const { env } = process
const workspace = env.GITHUB_WORKSPACE || process.cwd()
const shown: Progress[] = []
try {
  const inputs = readInputs(env)
  hideSecrets(inputs)
  // From here on the inputs are the environment that the command line has.
  if (inputs.token !== undefined) env.GITHUB_TOKEN = inputs.token
  if (inputs.command === 'publish' && inputs['signing-key'] !== undefined) {
    env.SEEDER_SIGNING_KEY = inputs['signing-key']
  }
  process.chdir(workspace)
  const options = inputs.project === undefined ? {} : { project: inputs.project }
  const context = {
    ...createContext(options, checkoutOf(import.meta.dirname)),
    progress() {
      const progress = createStepProgress(console.log)
      shown.push(progress)
      return progress
    },
  }
  const outcome = await takeStep(inputs, { env, context, warn: (text) => warning(text) })
  if (outcome !== undefined) await tellOutcome(outcome)
} catch (error) {
  for (const progress of shown) progress.stop()
  tellError(error, workspace)
  // What cannot be stopped, the upload of an artifact, would be waited for.
  if (interruption.aborted) process.exit()
}
