import type { Argv, Ended, Host } from '../../../src/host/commands.ts'
import { SeederError } from '../../../src/report/error.ts'

/** What a command line answers: its output, or how it ended. Undefined: it fails. */
export type Answer = (argv: Argv) => string | Partial<Ended> | undefined

/** A host whose commands only answer, and the commands that were run. */
export function answeringHost(answer: Answer): Host & { readonly commands: string[] } {
  const commands: string[] = []
  const run = async (argv: Argv): Promise<Ended> => {
    commands.push(argv.join(' '))
    const said = answer(argv)
    if (said === undefined) return { code: 1, stdout: '', stderr: 'no answer' }
    return typeof said === 'string'
      ? { code: 0, stdout: said, stderr: '' }
      : { code: 0, stdout: '', stderr: '', ...said }
  }
  return {
    commands,
    run,
    async output(argv) {
      const ended = await run(argv)
      if (ended.code !== 0) throw new SeederError(`${argv.join(' ')} failed: ${ended.stderr}`)
      return ended.stdout
    },
  }
}

/** What `qm guest exec` prints about a command that ended. */
export function guestSaid(stdout: string, exitcode = 0, stderr = ''): string {
  return JSON.stringify({ exitcode, exited: 1, 'out-data': stdout, 'err-data': stderr })
}
