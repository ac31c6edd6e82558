import { statusCommand } from '../../commands/status.ts'
import { statusMarkdown, statusText } from '../../release/deploy/status-text.ts'
import type { InputsOf } from '../input-schemas.ts'
import type { Step, StepOutcome } from '../step.ts'

/** `command: status`: where every image stands, as a table in the summary. */
export async function statusStep({ repository }: InputsOf<'status'>, step: Step): Promise<StepOutcome> {
  const { rows } = await statusCommand(repository === undefined ? {} : { repository }, step.context)
  step.context.progress().note(statusText(rows))
  return { outputs: {}, summary: `## Where the images stand\n\n${statusMarkdown(rows)}\n` }
}
