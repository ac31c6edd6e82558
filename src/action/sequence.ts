import { testFolder } from '../boot-test/test-process.ts'
import { readBuildRecord } from '../release/format/build-record.ts'
import { formatTag } from '../release/format/tag.ts'
import { UsageError } from '../report/error.ts'
import { readEvent } from './event.ts'
import type { Inputs, InputsOf } from './input-schemas.ts'
import { folderOf, type Step, type StepOutcome } from './step.ts'
import { takeFromOtherJob } from './steps/publish.ts'
import { takeStep } from './steps.ts'

/**
 * Does what a step asks for, one command after the other, and tells how each came out. What a command finds wrong ends
 * the sequence, except that a pull request is still told of it. Throws as the commands do; the later ones are left out then.
 */
export async function takeSteps(
  all: readonly Inputs[],
  step: Step,
  tell: (outcome: StepOutcome) => Promise<void>,
): Promise<void> {
  // The copy of this program that proves an image does nothing else again.
  const own = testFolder() === undefined ? all : all.filter(({ command }) => command === 'test')
  let [failed, changed] = [false, false]
  for (const inputs of own) {
    if (inputs.command === 'comment' ? await isLeftOut(all, step) : failed) continue
    if (inputs.command === 'publish') {
      await takeFromOtherJob(inputs, step)
      await requireSameRelease(inputs, all, step)
    }
    const outcome = await takeStep(inputs, step)
    if (outcome === undefined) continue
    changed ||= outcome.outputs.changed === true
    const outputs = { ...outcome.outputs, ...('changed' in outcome.outputs ? { changed } : {}) }
    await tell({ ...outcome, outputs })
    failed ||= (outcome.failures ?? []).length > 0
  }
}

/** What is published has to be the release that the step goes on with. Throws UsageError. */
async function requireSameRelease(
  inputs: InputsOf<'publish'>,
  all: readonly Inputs[],
  step: Step,
): Promise<void> {
  const next = all.find((one) => one.command === 'promote' || one.command === 'deploy')
  if (next?.tag === undefined) return
  const folder = folderOf(step, inputs)
  const { manifest } = await readBuildRecord(folder)
  const [built, wanted] = [formatTag(manifest), formatTag(next.tag)]
  if (built === wanted) return
  throw new UsageError(`${folder} is ${built}, and this step is to ${next.command} ${wanted}`, {
    fix: 'tag the commit whose lock has that version',
  })
}

/** A comment among other commands is for runs that have a pull request. */
async function isLeftOut(all: readonly Inputs[], { env, context }: Step): Promise<boolean> {
  if (all.length === 1 || (await readEvent(env)).kind === 'pull-request') return false
  context.progress().note('no pull request to write a comment for')
  return true
}
