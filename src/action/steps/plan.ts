import { relative } from 'node:path'
import { describePlan, type PlanRequest, planCommand } from '../../commands/plan.ts'
import { gitHubChanges } from '../../github/changes.ts'
import { matrixOf } from '../../image/affected.ts'
import { readEvent } from '../event.ts'
import type { InputsOf } from '../input-schemas.ts'
import { gitHubOf, type Step, type StepOutcome, workspaceOf } from '../step.ts'

/** `command: plan`: the images that the event affects, as the matrix of a job. */
export async function planStep(inputs: InputsOf<'plan'>, step: Step): Promise<StepOutcome> {
  const plan = await planCommand(await requestOf(inputs, step), step.context)
  step.context.progress().note(describePlan(plan))
  for (const image of plan.unlocked) {
    step.warn(`${image} has to be built but has no lock: run scripts/seeder lock ${image}, and commit it`)
  }
  const matrix = JSON.stringify(matrixOf(plan.images.map(({ image }) => image)))
  return { outputs: { matrix, changed: plan.images.length > 0 } }
}

async function requestOf(inputs: InputsOf<'plan'>, step: Step): Promise<PlanRequest> {
  if (inputs.image !== undefined) return { kind: 'image', image: inputs.image }
  const event = await readEvent(step.env)
  switch (event.kind) {
    case 'tag':
      return event
    case 'pull-request':
    case 'push': {
      const folder = relative(workspaceOf(step), step.context.project())
      const settings = {
        prefix: folder === '' ? '' : `${folder}/`,
        workflow: workflowPath(step.env.GITHUB_WORKFLOW_REF),
      }
      return { kind: 'changes', changes: gitHubChanges(gitHubOf(step, inputs), event, settings) }
    }
    default:
      return { kind: 'all' }
  }
}

/** The path in `OWNER/NAME/.github/workflows/images.yml@REF`. */
function workflowPath(ref = ''): string | undefined {
  return /^[^/]+\/[^/]+\/(.+?)@/.exec(ref)?.[1]
}
