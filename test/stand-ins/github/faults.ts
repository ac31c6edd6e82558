/**
 * Where something can go wrong: the API, the host that takes uploads, the one that gives downloads; the artifact
 * service, and the storage that has its content.
 */
export type Place = 'api' | 'upload' | 'download' | 'artifact' | 'blob'

/** How a request can go wrong. */
export type Misbehaviour =
  /** This answer instead of the real one. 5xx to an upload: after its bytes, and a `starter` is left behind. */
  | { readonly status: number; readonly headers?: Readonly<Record<string, string>>; readonly body?: unknown }
  /** The connection is reset before anything is done. */
  | 'reset'
  /** It is reset after so many bytes of an upload's or a download's content. */
  | { readonly resetAfter: number }
  /** What was asked for is done, and the connection reset instead of an answer. */
  | 'lose-answer'
  /** Half of the bytes are stored or given, and all looks well. */
  | 'truncate'
  /** As many bytes, one of them another: an upload's first, a download's last. */
  | 'wrong-digest'
  /** GitHub has no digest of the uploaded asset the first times it is read: 2, or so many. */
  | 'digest-late'
  | { readonly digestLate: number }
  /** A download begins at the first byte, whatever was asked for. */
  | 'no-range'

export interface Fault {
  readonly on: Place
  /** Of `METHOD /path`, with the query or without; every request when it is not there. */
  readonly match?: RegExp
  /** The how-many-eth of the requests that match, from 1; the next one when it is not there. */
  readonly at?: number
  /** How many in a row; 1 when it is not there. */
  readonly times?: number
  readonly do: Misbehaviour
}

/** What can go wrong everywhere. */
const ANYWHERE = ['status', 'reset']
/** And elsewhere: a fault that would do nothing makes a test that proves nothing. */
const POSSIBLE: Readonly<Record<Place, readonly string[]>> = {
  api: ['lose-answer'],
  upload: ['lose-answer', 'resetAfter', 'truncate', 'wrong-digest', 'digest-late', 'digestLate'],
  download: ['resetAfter', 'truncate', 'wrong-digest', 'no-range'],
  artifact: ['lose-answer'],
  blob: ['lose-answer', 'resetAfter', 'truncate', 'wrong-digest'],
}

/** What is to go wrong. */
export class Faults {
  private readonly planned: { readonly fault: Fault; seen: number }[] = []

  /** Requests are counted from here on. */
  add(...faults: readonly Fault[]): void {
    for (const { on, do: wanted } of faults) {
      const known = [...ANYWHERE, ...POSSIBLE[on]]
      if (!known.some((each) => (typeof wanted === 'string' ? each === wanted : each in wanted))) {
        throw new Error(`${JSON.stringify(wanted)} does not happen on ${on}`)
      }
    }
    this.planned.push(...faults.map((fault) => ({ fault, seen: 0 })))
  }

  /** Nothing goes wrong any more. */
  clear(): void {
    this.planned.length = 0
  }

  /** What goes wrong with this request. Each fault counts it; the first that is due happens. */
  of(on: Place, method: string, path: string, query: string): Misbehaviour | undefined {
    let due: Misbehaviour | undefined
    for (const plan of this.planned) {
      const { match, at = 1, times = 1 } = plan.fault
      const plain = `${method} ${path}`
      if (plan.fault.on !== on) continue
      if (match && !match.test(plain) && !match.test(`${plain}?${query}`)) continue
      plan.seen++
      if (plan.seen >= at && plan.seen < at + times) due ??= plan.fault.do
    }
    return due
  }
}

/** GitHub's own refusals that ask to wait, and its errors, to be given as `do`. */
export const answers = {
  serverError: { status: 500, body: { message: 'Server Error' } },
  badGateway: { status: 502, headers: { 'content-type': 'text/html' }, body: '<html>Unicorn!</html>' },
  unavailable: { status: 503, headers: { 'content-type': 'text/html' }, body: '<html>Unicorn!</html>' },
  tooMany: (seconds: number) => ({
    status: 429,
    headers: { 'retry-after': String(seconds) },
    body: { message: 'Too many requests. Please wait before you try again.' },
  }),
  secondaryRateLimit: (seconds: number) => ({
    status: 403,
    headers: { 'retry-after': String(seconds) },
    body: {
      message:
        'You have exceeded a secondary rate limit. Please wait a few minutes before you try again. If you reach out to GitHub Support for help, please include the request ID 0.',
      documentation_url:
        'https://docs.github.com/free-pro-team@latest/rest/overview/rate-limits-for-the-rest-api#about-secondary-rate-limits',
    },
  }),
  primaryRateLimit: (resetAt: Date) => ({
    status: 403,
    headers: {
      'x-ratelimit-remaining': '0',
      'x-ratelimit-reset': String(Math.ceil(resetAt.getTime() / 1000)),
    },
    body: { message: 'API rate limit exceeded for installation.' },
  }),
} as const satisfies Record<string, Misbehaviour | ((...given: never[]) => Misbehaviour)>
