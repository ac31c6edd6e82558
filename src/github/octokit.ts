import { setTimeout as delay } from 'node:timers/promises'
import { retry } from '@octokit/plugin-retry'
import { throttling } from '@octokit/plugin-throttling'
import { Octokit } from '@octokit/rest'
import { formatDuration } from '../report/table.ts'
import { LONGEST_WAIT_MS } from './retry.ts'
import type { GitHubSettings } from './settings.ts'

/** Maximum time for a response of the API. */
const ANSWER_MS = 60_000

const silent = () => undefined

const Client = Octokit.plugin(retry, throttling)

/**
 * GitHub's own client. It repeats what failed on GitHub's side, and waits when GitHub requires it, at most
 * `LONGEST_WAIT_MS` in all.
 */
export function makeOctokit(
  { token, apiUrl, repository }: GitHubSettings,
  signal: AbortSignal,
  note: (text: string) => void,
): Octokit {
  let waited = 0
  const waitAsRequired = async (seconds: number): Promise<boolean> => {
    const ms = seconds * 1000
    if (waited + ms > LONGEST_WAIT_MS) return false
    waited += ms
    note(`GitHub requires a wait of ${formatDuration(ms)}`)
    await delay(ms, undefined, { signal })
    return true
  }
  return new Client({
    auth: token,
    baseUrl: apiUrl,
    userAgent: 'seeder',
    // It would print every 404, which is a normal response here.
    log: { debug: silent, info: silent, warn: silent, error: silent },
    request: { fetch: stoppableFetch(signal) },
    throttle: {
      id: `${apiUrl} ${repository}`,
      // `waitAsRequired` waits instead of the plugin, whose wait the signal cannot end.
      retryAfterBaseValue: 0,
      onRateLimit: waitAsRequired,
      onSecondaryRateLimit: waitAsRequired,
    },
  })
}

/**
 * `fetch` with a time limit and the signal. It reads the body: Octokit takes an incomplete body for an empty one, but
 * repeats a request when this function throws.
 */
function stoppableFetch(signal: AbortSignal): typeof fetch {
  return async (url, init) => {
    try {
      const limits = AbortSignal.any([signal, AbortSignal.timeout(ANSWER_MS)])
      const response = await fetch(url, { ...init, signal: limits })
      const body = await response.arrayBuffer()
      const { status, statusText, headers } = response
      return new Response(body.byteLength === 0 ? null : body, { status, statusText, headers })
    } catch (error) {
      // Octokit does not repeat a request after an error of this name.
      if (signal.aborted) throw new DOMException('stopped', 'AbortError')
      throw error
    }
  }
}
