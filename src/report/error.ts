/**
 * An error a person can act on. `message` is one line: what was attempted and what was found; `fix` says
 * what to do about it. The technical chain hangs on `cause` and is shown under --verbose.
 */
export class SeederError extends Error {
  override readonly name: string = 'SeederError'
  readonly fix: string | undefined

  constructor(message: string, options: { fix?: string; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.fix = options.fix
  }
}

/** Wrong use: a bad argument, an unknown image, a definition that does not validate. Exit status 2. */
export class UsageError extends SeederError {
  override readonly name = 'UsageError'
}

/** A run that was asked to stop, when it could not leave everything as it was: it says what there is now. */
export class StoppedError extends SeederError {
  override readonly name = 'StoppedError'
}

/** The text a person sees for any thrown value: one line, then one line with the fix where there is one. */
export function describeError(error: unknown): string {
  if (error instanceof SeederError) return error.fix ? `${error.message}\n  → ${error.fix}` : error.message
  return error instanceof Error ? error.message : String(error)
}

/** Every message of the cause chain, outermost first. */
export function causeChain(error: unknown): string[] {
  const chain: string[] = []
  for (let at = error instanceof Error ? error.cause : undefined; at !== undefined; ) {
    chain.push(at instanceof Error ? (at.stack ?? at.message) : String(at))
    at = at instanceof Error ? at.cause : undefined
  }
  return chain
}
