import { verifyCommand } from '../../commands/verify.ts'
import { plain, table } from '../../report/markdown.ts'
import type { InputsOf } from '../input-schemas.ts'
import { folderOf, type Step, type StepOutcome } from '../step.ts'

/** `command: verify`: verifies the files and the signature of a build or a download. */
export async function verifyStep(inputs: InputsOf<'verify'>, step: Step): Promise<StepOutcome> {
  const folder = folderOf(step, inputs)
  const { 'allowed-signers': allowedSigners, 'allow-unsigned': allowUnsigned } = inputs
  const findings = await verifyCommand(
    {
      folder,
      ...(allowedSigners === undefined ? {} : { allowedSigners }),
      ...(allowUnsigned === undefined ? {} : { allowUnsigned }),
    },
    step.context,
  )
  const wrong = findings.filter(({ result }) => result === 'wrong')
  const rows = findings.map(({ what, result, found }) => [plain(what), result, plain(found)])
  return {
    outputs: { passed: wrong.length === 0 },
    summary: `## Verified\n\n${table(['what', 'result', 'found'], rows)}\n`,
    failures: wrong.map(({ what, found }) => `${what}: ${found}`),
  }
}
