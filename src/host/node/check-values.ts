import { join } from 'node:path'
import { checkForm, formatNodeEnv, type NodeValues, type ValueProblem } from '../../guest/node-env.ts'
import { roles } from '../../platform/roles.ts'
import type { RoleName } from '../../platform/schema.ts'
import { execa } from '../../process/child-process.ts'
import { SeederError } from '../../report/error.ts'

/**
 * The problems that first boot would report about these values. `images/IMAGE/check-values` runs the image's own
 * checks; what only the machine can find out is left to it.
 * @param checkout the checkout of this program, which has `images/`
 * @param name the node's name
 * @throws SeederError when the checks cannot run
 */
export async function checkValues(
  checkout: string,
  role: RoleName,
  values: NodeValues,
  name: string,
): Promise<ValueProblem[]> {
  const problems = checkForm(values)
  if (problems.length > 0) return problems
  const script = join(checkout, 'images', roles[role].image, 'check-values')
  // The values may be secret: they are on standard input, where nobody else can read them.
  const input = formatNodeEnv(values)
  const { exitCode, stdout, shortMessage } = await execa('bash', [script, name], { input, reject: false })
  if (exitCode !== 0) {
    throw new SeederError(`The values of ${name} could not be checked: ${shortMessage}`, {
      fix: `see whether the checkout is complete, with all of ${join(checkout, 'images')}`,
    })
  }
  return stdout.split('\n').flatMap((line) => {
    const [, key, reason] = /^([^:]+): (.*)$/.exec(line) ?? []
    return key !== undefined && reason !== undefined ? [{ key, reason }] : []
  })
}
