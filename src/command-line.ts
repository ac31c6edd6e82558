import { Command, CommanderError } from 'commander'
import { registerBuildCommand } from './commands/build.ts'
import { registerBundleCommand } from './commands/bundle.ts'
import { registerConfirmCommand } from './commands/confirm.ts'
import { type Context, checkoutOf, createContext, versionOf } from './commands/context.ts'
import { registerDeployCommand } from './commands/deploy.ts'
import { registerDiffCommand } from './commands/diff.ts'
import { registerInspectCommand } from './commands/inspect.ts'
import { registerLockCommand } from './commands/lock.ts'
import { registerNodeCommand } from './commands/node.ts'
import { registerPkiCommand } from './commands/pki.ts'
import { registerPlanCommand } from './commands/plan.ts'
import { registerPlatformCommand } from './commands/platform.ts'
import { registerPromoteCommand } from './commands/promote.ts'
import { registerPublishCommand } from './commands/publish.ts'
import { registerReportCommand } from './commands/report.ts'
import { registerScanCommand } from './commands/scan.ts'
import { registerStatusCommand } from './commands/status.ts'
import { registerTestCommand } from './commands/test.ts'
import { registerVerifyCommand } from './commands/verify.ts'
import { interruption } from './process/interruption.ts'
import { causeChain, describeError, StoppedError, UsageError } from './report/error.ts'
import { harmless, printError } from './report/print.ts'
import type { Progress } from './report/progress.ts'

const ownCheckout = checkoutOf(import.meta.dirname)

/**
 * Runs a command.
 * @returns the exit status of a failed command; undefined otherwise: the command may have set one
 */
export async function runCommandLine(argv: readonly string[]): Promise<number | undefined> {
  const program = new Command('seeder')
    .description('Builds, tests and promotes the golden images of a Kubernetes platform on Proxmox VE.')
    .version(versionOf(ownCheckout))
    .option(
      '-C, --project <dir>',
      'use this folder with platform.yaml and images/ (default: found from the current one)',
    )
    .option('-q, --quiet', 'print only results and errors')
    .option('-v, --verbose', 'print everything that led to an error')
    .configureOutput({ writeErr: (text) => process.stderr.write(harmless(text)) })
    .showHelpAfterError('(see --help)')
    .exitOverride()

  const shown: Progress[] = []
  function context(): Context {
    const made = createContext(program.opts(), ownCheckout)
    return {
      ...made,
      progress() {
        const progress = made.progress()
        shown.push(progress)
        return progress
      },
    }
  }
  registerLockCommand(program, context)
  registerBuildCommand(program, context)
  registerTestCommand(program, context)
  registerInspectCommand(program, context)
  registerPlanCommand(program, context)
  registerPlatformCommand(program, () => context().project())
  registerPkiCommand(program, context)
  registerNodeCommand(program, context)
  registerPublishCommand(program, context)
  registerConfirmCommand(program, context)
  registerPromoteCommand(program, context)
  registerDeployCommand(program, context)
  registerStatusCommand(program, context)
  registerVerifyCommand(program, context)
  registerDiffCommand(program, context)
  registerReportCommand(program, context)
  registerBundleCommand(program, context)
  registerScanCommand(program)
  for (const command of program.commands) command.exitOverride()

  try {
    await program.parseAsync(argv, { from: 'user' })
    return undefined
  } catch (error) {
    return report(error, shown, program.opts().verbose)
  }
}

/** Prints an error and returns the exit status: 1 for a failure, 2 for wrong usage, 130 for an interruption. */
function report(error: unknown, shown: readonly Progress[], verbose: boolean): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2
  for (const progress of shown) progress.stop()
  if (interruption.aborted && !(error instanceof StoppedError)) {
    printError('seeder: stopped; nothing was left behind')
    return 130
  }
  printError(`seeder: ${describeError(error)}`)
  if (interruption.aborted) return 130
  if (verbose) for (const cause of causeChain(error)) printError(cause)
  return error instanceof UsageError ? 2 : 1
}
