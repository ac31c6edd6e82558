/** Without a byte for this long, the server is considered dead. */
const STALL_MS = 30_000

/** The server returned a status that is not a success. */
export class HttpStatusError extends Error {
  readonly status: number

  constructor(status: number) {
    super(`HTTP ${status}`)
    this.status = status
  }
}

/** The server stopped sending. */
export class StalledError extends Error {}

/**
 * Streams the bytes of a URL.
 * @throws HttpStatusError; StalledError when nothing comes for `stallMs`; what `fetch` throws
 */
export async function* download(
  url: string,
  { signal, stallMs = STALL_MS }: { signal: AbortSignal; stallMs?: number },
): AsyncGenerator<Uint8Array> {
  const silent = new AbortController()
  const stalled = () => silent.abort(new StalledError(`no data for ${stallMs / 1000} s`))
  let timer = setTimeout(stalled, stallMs)
  try {
    const response = await fetch(url, { signal: AbortSignal.any([silent.signal, signal]) })
    if (!response.ok || !response.body) throw new HttpStatusError(response.status)
    for await (const chunk of response.body) {
      clearTimeout(timer)
      timer = setTimeout(stalled, stallMs)
      yield chunk
    }
  } catch (error) {
    if (silent.signal.aborted && !signal.aborted) throw silent.signal.reason
    throw error
  } finally {
    clearTimeout(timer)
  }
}

/** Why a download failed: `fetch` hides the reason in the cause of its error. */
export function downloadFailure(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error
  return cause instanceof Error ? cause.message || String(cause) : String(cause)
}
