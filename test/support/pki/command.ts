import { Command, CommanderError } from 'commander'
import { vi } from 'vitest'
import { registerPkiCommand } from '../../../src/commands/pki.ts'
import { describeError, UsageError } from '../../../src/report/error.ts'
import { createProgress } from '../../../src/report/progress.ts'
import { checkout, type Ended } from '../seeder.ts'

/**
 * Runs `seeder pki` in this process, which takes a tenth of the time of one of its own. How it ends and what it prints is
 * as src/cli.ts would have it, of which test/unit/pki/command.test.ts sees some for itself.
 */
export async function pkiCommand(argv: readonly string[], project = checkout): Promise<Ended> {
  const printed = { stdout: '', stderr: '' }
  const errors = {
    write(text: string) {
      printed.stderr += text
      return true
    },
  }
  const write = vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    printed.stdout += text
    return true
  })
  const program = new Command('seeder').exitOverride().configureOutput({ writeErr: errors.write })
  registerPkiCommand(program, () => ({
    project: () => project,
    cache: '',
    checkout: '',
    version: '0',
    progress: () => createProgress(errors, {}),
  }))
  let code = 0
  try {
    await program.parseAsync(['pki', ...argv], { from: 'user' })
  } catch (error) {
    code = error instanceof CommanderError || error instanceof UsageError ? 2 : 1
    if (!(error instanceof CommanderError)) errors.write(`seeder: ${describeError(error)}\n`)
  } finally {
    write.mockRestore()
  }
  return { code, stdout: printed.stdout.trimEnd(), stderr: printed.stderr.trimEnd() }
}
