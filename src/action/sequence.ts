import { testFolder } from '../boot-test/test-process.ts'
import { readBuildRecord } from '../release/format/build-record.ts'
import { formatTag } from '../release/format/tag.ts'
import { UsageError } from '../report/error.ts'
import { readEvent } from './event.ts'
import type { Inputs, InputsOf } from './input-schemas.ts'
import { folderOf, type Step, type StepOutcome } from './step.ts'
import { buildStep } from './steps/build.ts'
import { commentStep } from './steps/comment.ts'
import { confirmStep } from './steps/confirm.ts'
import { deployStep } from './steps/deploy.ts'
import { lockStep } from './steps/lock.ts'
import { planStep } from './steps/plan.ts'
import { promoteStep } from './steps/promote.ts'
import { fetchBuild, publishStep } from './steps/publish.ts'
import { statusStep } from './steps/status.ts'
import { testStep } from './steps/test.ts'
import { verifyStep } from './steps/verify.ts'

/**
 * Runs the commands of a step in order and reports the outcome of each. A command with failures ends the sequence, except
 * for the comment on a pull request. Throws as the commands do, and then runs no later one.
 */
export async function runCommands(
  all: readonly Inputs[],
  step: Step,
  report: (outcome: StepOutcome) => Promise<void>,
): Promise<void> {
  // The copy of this program that runs the boot test runs no other command again.
  const own = testFolder() === undefined ? all : all.filter(({ command }) => command === 'test')
  let [failed, changed] = [false, false]
  for (const inputs of own) {
    if (inputs.command === 'comment' ? await isLeftOut(all, step) : failed) continue
    if (inputs.command === 'publish') {
      await fetchBuild(inputs, step)
      await requireSameRelease(inputs, all, step)
    }
    const outcome = await runCommand(inputs, step)
    if (outcome === undefined) continue
    changed ||= outcome.outputs.changed === true
    const outputs = { ...outcome.outputs, ...('changed' in outcome.outputs ? { changed } : {}) }
    await report({ ...outcome, outputs })
    failed ||= (outcome.failures ?? []).length > 0
  }
}

/** @throws UsageError when the build is not the release that the step promotes or deploys */
async function requireSameRelease(
  inputs: InputsOf<'publish'>,
  all: readonly Inputs[],
  step: Step,
): Promise<void> {
  const next = all.find((other) => other.command === 'promote' || other.command === 'deploy')
  if (next?.tag === undefined) return
  const folder = folderOf(step, inputs)
  const { manifest } = await readBuildRecord(folder)
  const [built, wanted] = [formatTag(manifest), formatTag(next.tag)]
  if (built === wanted) return
  throw new UsageError(`${folder} is ${built}, and this step is to ${next.command} ${wanted}`, {
    fix: 'tag the commit whose lock has that version',
  })
}

/** A comment together with other commands is left out without a pull request. */
async function isLeftOut(all: readonly Inputs[], { env, context }: Step): Promise<boolean> {
  if (all.length === 1 || (await readEvent(env)).kind === 'pull-request') return false
  context.progress().note('no pull request to write a comment for')
  return true
}

/** Runs a command. Undefined in the copy of the program that runs the boot test. Throws as the command does. */
function runCommand(inputs: Inputs, step: Step): Promise<StepOutcome | undefined> {
  switch (inputs.command) {
    case 'lock':
      return lockStep(inputs, step)
    case 'plan':
      return planStep(inputs, step)
    case 'build':
      return buildStep(inputs, step)
    case 'test':
      return testStep(inputs, step)
    case 'publish':
      return publishStep(inputs, step)
    case 'confirm':
      return confirmStep(inputs, step)
    case 'promote':
    case 'demote':
      return promoteStep(inputs, step)
    case 'verify':
      return verifyStep(inputs, step)
    case 'deploy':
      return deployStep(inputs, step)
    case 'status':
      return statusStep(inputs, step)
    case 'comment':
      return commentStep(inputs, step)
  }
}
