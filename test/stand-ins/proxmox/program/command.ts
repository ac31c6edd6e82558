import type { Spec } from './check.ts'
import { CommandLineError, messageOf, ParameterError, PveError } from './failure.ts'
import { type Call, type CommandLine, readCommandLine } from './getopt.ts'
import { err } from './output.ts'

/** A command of a program: its words, what it accepts, and what it does. */
export interface Command extends CommandLine {
  run(call: Call): Promise<void>
}

/** Commands by their words after the program's name, such as `disk import`. */
export type Commands = Readonly<Record<string, Command>>

/** Options of a fixed set. */
export function options(table: Readonly<Record<string, Spec>> = {}): CommandLine['option'] {
  return (name) => (Object.hasOwn(table, name) ? table[name] : undefined)
}

/**
 * Runs the command that a command line names.
 * @param help what a person is shown who gave none, or one that there is not
 */
export async function runCommand(
  program: string,
  commands: Commands,
  help: string,
  argv: readonly string[],
): Promise<number> {
  const words = [argv.slice(0, 2).join(' '), argv[0] ?? ''].find((one) => Object.hasOwn(commands, one))
  const command = words === undefined ? undefined : commands[words]
  if (words === undefined || command === undefined) {
    err(
      argv.length === 0
        ? 'ERROR: no command specified\n'
        : `ERROR: unknown command '${program} ${argv[0]}'\n`,
    )
    err(help)
    return 255
  }
  try {
    await command.run(readCommandLine(command, argv.slice(words.split(' ').length)))
    return 0
  } catch (error) {
    return complain(error, command.usage)
  }
}

/** Says what a command died of; its exit status. */
export function complain(error: unknown, usage: string): number {
  if (error instanceof ParameterError || error instanceof CommandLineError) {
    err(`${error.message}\n${usage}\n`)
    return 255
  }
  if (!(error instanceof PveError)) {
    err(`stand-in: ${error instanceof Error ? error.stack : String(error)}\n`)
    return 255
  }
  if (error.message !== '') err(`${messageOf(error)}\n`)
  return error.status
}
