import { setTimeout as delay } from 'node:timers/promises'

/** Milliseconds to wait after this number of failures in a row; undefined when another attempt makes no sense. */
export type Wait = (failures: number, error: unknown) => number | undefined

export interface RetryOptions {
  readonly wait: Wait
  /** Ends the attempts and the waits between them. */
  readonly signal: AbortSignal
  /** Whether the attempt that failed got further than all before it: then the count of failures starts again at 0. */
  readonly hasProgressed?: () => boolean
  readonly onFailure?: (error: unknown, waitMs: number | undefined) => void
}

/**
 * Repeats `attempt`, which gets its number from 1, until it succeeds.
 * @throws the reason of `signal`; the last error when `wait` gives up
 */
export async function retry<T>(
  attempt: (number: number) => Promise<T>,
  { wait, signal, hasProgressed, onFailure }: RetryOptions,
): Promise<T> {
  let failures = 0
  for (let number = 1; ; number++) {
    try {
      return await attempt(number)
    } catch (error) {
      signal.throwIfAborted()
      failures = hasProgressed?.() ? 0 : failures + 1
      const ms = wait(failures, error)
      onFailure?.(error, ms)
      if (ms === undefined) throw error
      await delay(ms, undefined, { signal }).catch(() => signal.throwIfAborted())
    }
  }
}

/**
 * The usual wait: `firstMs` after the first failure, twice as long after each further one, until `attempts` have
 * failed. An attempt that made progress is repeated at once.
 */
export function backoff(attempts: number, firstMs: number): (failures: number) => number | undefined {
  return (failures) => {
    if (failures >= attempts) return undefined
    return failures === 0 ? 0 : firstMs * 2 ** (failures - 1)
  }
}

/** Whether a request that was answered with this status may succeed later. */
export function isTransientStatus(status: number): boolean {
  return status >= 500 || status === 408 || status === 429
}
