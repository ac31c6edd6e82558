import { lockCommand } from '../../commands/lock.ts'
import { lockDigest } from '../../image/lock.ts'
import { code, plain } from '../../report/markdown.ts'
import type { InputsOf } from '../input-schemas.ts'
import type { Step, StepOutcome } from '../step.ts'

/** `command: lock`: writes the lock; the workflow commits it. */
export async function lockStep(inputs: InputsOf<'lock'>, step: Step): Promise<StepOutcome> {
  const { lock, changes } = await lockCommand(inputs, step.context)
  const list = changes.map((change) => `- ${plain(change)}`).join('\n')
  return {
    outputs: { version: lock.version, changed: changes.length > 0 },
    summary: `## ${plain(lock.image)} ${plain(lock.version)} locked\n\nlock ${code(lockDigest(lock))}\n\n${list || 'The packages are the same.'}\n`,
  }
}
