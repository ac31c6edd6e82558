import { bounded, visible } from './printable.ts'

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

/** So many bytes of what was found, of what to do, and lines of both are enough to act on: names in them may be of anybody. */
const MOST_FOUND = 1500
const MOST_FIX = 450
const MOST_LINES = 12

/**
 * The text a person sees for any thrown value: one line, then one line with the fix where there is one. Everything in it
 * is in sight, and it has less than 2 kB.
 */
export function describeError(error: unknown): string {
  const found = error instanceof Error ? error.message : String(error)
  const fix = error instanceof SeederError && error.fix ? [`  → ${short(error.fix, MOST_FIX)}`] : []
  return [short(found, MOST_FOUND), ...fix].join('\n')
}

function short(text: string, most: number): string {
  // What cannot be shown is not looked through to its end.
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
  for (let at = error instanceof Error ? error.cause : undefined; at !== undefined; ) {
    chain.push(at instanceof Error ? (at.stack ?? at.message) : String(at))
    at = at instanceof Error ? at.cause : undefined
  }
  return chain
}
