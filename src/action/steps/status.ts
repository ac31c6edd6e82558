import { statusCommand } from '../../commands/status.ts'
import { statusMarkdown, statusText } from '../../release/deploy/status-text.ts'
import type { InputsOf } from '../input-schemas.ts'
import type { Step, StepOutcome } from '../step.ts'

/** `command: status`: the candidate, promoted and deployed version of every image, as a table in the summary. */
export async function statusStep({ repository }: InputsOf<'status'>, step: Step): Promise<StepOutcome> {
  const { rows } = await statusCommand(repository === undefined ? {} : { repository }, step.context)
  step.context.progress().note(statusText(rows))
  return { outputs: {}, summary: `## Status of the images\n\n${statusMarkdown(rows)}\n` }
}
