import { backoff, isTransientStatus } from '../http/retry.ts'
import { isRateLimit, type Refusal, refusalOf } from './failure.ts'

/** Maximum attempts of a transfer. */
export const ATTEMPTS = 5

/** The longest wait that GitHub may require in all; a job costs money while it waits. */
export const LONGEST_WAIT_MS = 5 * 60_000

const usual = backoff(ATTEMPTS, 1000)

/**
 * Milliseconds until the next attempt of a transfer; undefined after too many failures, or when GitHub has refused it.
 */
export function waitBeforeRetry(failures: number, error: unknown): number | undefined {
  const ms = usual(failures)
  const refusal = refusalOf(error)
  // Without a refusal the connection was rejected, reset or timed out.
  if (ms === undefined || refusal === undefined) return ms
  if (!isRateLimit(refusal) && !isTransientStatus(refusal.status)) return undefined
  const required = requiredWait(refusal) ?? ms
  return required <= LONGEST_WAIT_MS ? required : undefined
}

/** What `retry-after` requires, in milliseconds: the header has seconds, or a date. */
function requiredWait({ headers }: Refusal): number | undefined {
  const text = headers['retry-after']
  if (text === undefined) return undefined
  if (/^\d+$/.test(text.trim())) return Number(text) * 1000
  const time = Date.parse(text)
  return Number.isNaN(time) ? undefined : Math.max(0, time - Date.now())
}
