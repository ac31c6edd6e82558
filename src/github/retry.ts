import { isRateLimit, type Refusal, refusalOf } from './failure.ts'

/** Maximum attempts of a transfer. */
export const ATTEMPTS = 5

/** The longest wait that GitHub may require in all; a job costs money while it waits. */
export const LONGEST_WAIT_MS = 5 * 60_000

/**
 * Milliseconds to wait before the next attempt, after the failure of the attempt with this number (from 1); undefined
 * when another one would end the same way, or there were enough.
 */
export function waitBeforeRetry(error: unknown, attempt: number): number | undefined {
  if (attempt >= ATTEMPTS) return undefined
  const refusal = refusalOf(error)
  const backoff = 1000 * 2 ** (attempt - 1)
  // Without an answer: a connection that was refused, reset or fell silent.
  if (refusal === undefined) return backoff
  if (!isRateLimit(refusal) && refusal.status < 500 && refusal.status !== 408) return undefined
  const required = requiredWait(refusal)
  if (required === undefined) return backoff
  return required <= LONGEST_WAIT_MS ? required : undefined
}

/** What `retry-after` requires, in milliseconds: it has seconds, or a date. */
function requiredWait({ headers }: Refusal): number | undefined {
  const text = headers['retry-after']
  if (text === undefined) return undefined
  if (/^\d+$/.test(text.trim())) return Number(text) * 1000
  const at = Date.parse(text)
  return Number.isNaN(at) ? undefined : Math.max(0, at - Date.now())
}
