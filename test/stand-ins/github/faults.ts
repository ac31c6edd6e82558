/** Where a fault can occur: the API, the hosts for uploads and downloads, the artifact service, and its storage. */
export type Place = 'api' | 'upload' | 'download' | 'artifact' | 'blob'

/** The effect of a fault on a request. */
export type Misbehaviour =
  /** This response instead of the real one. 5xx to an upload: after its bytes, and a `starter` remains. */
  | { readonly status: number; readonly headers?: Readonly<Record<string, string>>; readonly body?: unknown }
  /** The connection is reset before the request is processed. */
  | 'reset'
  /** The connection is reset after this number of bytes of an upload or a download. */
  | { readonly resetAfter: number }
  /** The request is processed, and the connection is reset instead of a response. */
  | 'lose-answer'
  /** Half of the bytes are stored or sent, without an error. */
  | 'truncate'
  /** One byte is changed: the first of an upload, the last of a download. */
  | 'wrong-digest'
  /** GitHub has no digest of the uploaded asset the first 2 times it is read, or this number of times. */
  | 'digest-late'
  | { readonly digestLate: number }
  /** A download begins at the first byte, whatever the request's range. */
  | 'no-range'

export interface Fault {
  readonly on: Place
  /** Matches `METHOD /path`, with or without the query; default: every request. */
  readonly match?: RegExp
  /** The number of the matching request, from 1; default: the next one. */
  readonly at?: number
  /** The number of requests in a row; default: 1. */
  readonly times?: number
  readonly do: Misbehaviour
}

/** Faults that are possible everywhere. */
const ANYWHERE = ['status', 'reset']
/** Faults of one place: a fault without an effect would make a useless test. */
const POSSIBLE: Readonly<Record<Place, readonly string[]>> = {
  api: ['lose-answer'],
  upload: ['lose-answer', 'resetAfter', 'truncate', 'wrong-digest', 'digest-late', 'digestLate'],
  download: ['resetAfter', 'truncate', 'wrong-digest', 'no-range'],
  artifact: ['lose-answer'],
  blob: ['lose-answer', 'resetAfter', 'truncate', 'wrong-digest'],
}

/** The planned faults. */
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

  /** Removes all faults. */
  clear(): void {
    this.planned.length = 0
  }

  /** The fault of this request. Each matching fault counts it; the first that is due takes effect. */
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

/** GitHub's errors, and its refusals that require a wait, for `do`. */
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
