/** What a command dies of: its message goes to standard error. */
export class PveError extends Error {
  /** Exit status. Perl leaks errno into it: 2 is "no such file", 4 a lock that was not got. */
  readonly status: number

  constructor(message: string, status = 255) {
    super(message)
    this.status = status
  }
}

/** Values that a command does not accept: option → reason. */
export class ParameterError extends Error {
  readonly problems: Readonly<Record<string, string>>

  constructor(problems: Readonly<Record<string, string>>) {
    super(
      [
        '400 Parameter verification failed.',
        ...Object.entries(problems)
          .sort(([a], [b]) => (a < b ? -1 : 1))
          .map(([name, reason]) => `${name}: ${reason}`),
      ].join('\n'),
    )
    this.problems = problems
  }
}

/** A command line that cannot be read at all. */
export class CommandLineError extends Error {}

/** What a person would see for any thrown value, as one text. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
