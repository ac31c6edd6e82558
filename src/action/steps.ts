import type { Inputs } from './input-schemas.ts'
import type { Step, StepOutcome } from './step.ts'
import { buildStep } from './steps/build.ts'
import { commentStep } from './steps/comment.ts'
import { confirmStep } from './steps/confirm.ts'
import { deployStep } from './steps/deploy.ts'
import { lockStep } from './steps/lock.ts'
import { planStep } from './steps/plan.ts'
import { promoteStep } from './steps/promote.ts'
import { publishStep } from './steps/publish.ts'
import { statusStep } from './steps/status.ts'
import { testStep } from './steps/test.ts'
import { verifyStep } from './steps/verify.ts'

/**
 * Does what the inputs ask for. Undefined in the copy of the program that proves inside namespaces: it has nothing to
 * tell. Throws as the command does.
 */
export function takeStep(inputs: Inputs, step: Step): Promise<StepOutcome | undefined> {
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
