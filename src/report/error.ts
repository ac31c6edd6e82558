import { bounded, visible } from './printable.ts'

/**
 * An error that a person can act on. `message` is one line: what was attempted and what was found; `fix` is what to do.
 * --verbose shows the chain of causes.
 */
export class SeederError extends Error {
  override readonly name: string = 'SeederError'
  readonly fix: string | undefined

  constructor(message: string, options: { fix?: string; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.fix = options.fix
  }
}

/** Wrong use: a bad argument, an unknown image, an invalid definition. Exit status 2. */
export class UsageError extends SeederError {
  override readonly name = 'UsageError'
}

/** A run was interrupted and could not leave everything as it was: the message describes the state. */
export class StoppedError extends SeederError {
  override readonly name = 'StoppedError'
}

// Limits of a message and a fix, in bytes and lines: foreign names in them may have any length.
const MOST_FOUND = 1500
const MOST_FIX = 450
const MOST_LINES = 12

/**
 * The text of any thrown value for a person: one line, and one with the fix. It has less than 2 kB and is printable.
 */
export function describeError(error: unknown): string {
  const found = error instanceof Error ? error.message : String(error)
  const fix = error instanceof SeederError && error.fix ? [`  → ${short(error.fix, MOST_FIX)}`] : []
  return [short(found, MOST_FOUND), ...fix].join('\n')
}

function short(text: string, most: number): string {
  // A huge text is not searched to its end.
  const lines = text.slice(0, 4 * most).split('\n')
  const more = text.split('\n', 100_000).length - MOST_LINES
  const shown =
    lines.length <= MOST_LINES ? lines : [...lines.slice(0, MOST_LINES), `… and ${more} more lines`]
  const each = Math.floor(most / Math.min(shown.length, 4))
  return bounded(shown.map((line) => bounded(visible(line), each)).join('\n'), most)
}

/** Every message of the cause chain, outermost first. */
export function causeChain(error: unknown): string[] {
  const chain: string[] = []
  for (let cause = error instanceof Error ? error.cause : undefined; cause !== undefined; ) {
    chain.push(cause instanceof Error ? (cause.stack ?? cause.message) : String(cause))
    cause = cause instanceof Error ? cause.cause : undefined
  }
  return chain
}
