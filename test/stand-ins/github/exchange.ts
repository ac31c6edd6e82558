import type { IncomingHttpHeaders } from 'node:http'
import type { Incoming } from './incoming.ts'
import type { Token } from './tokens.ts'

/** A request to an operation of GitHub, after its token and its shape have been checked. */
export interface Call {
  readonly params: Readonly<Record<string, string>>
  readonly query: URLSearchParams
  /** Checked against GitHub's description. */
  readonly body: unknown
  readonly headers: IncomingHttpHeaders
  readonly token: Token | undefined
  /** Without the query; for links to other pages. */
  readonly url: string
  /** What comes to the host for uploads. */
  readonly incoming: Incoming | undefined
}

export interface Answer {
  readonly status: number
  readonly body?: unknown
  readonly headers?: Readonly<Record<string, string>>
}

export type Level = 'read' | 'write'

/** One operation of GitHub's description. */
export interface Operation {
  /** Permissions of a token of which one is enough. */
  readonly needs: Readonly<Record<string, Level>>
  /** Throws Refusal. */
  answer(call: Call): Answer | Promise<Answer>
}

/** By GitHub's operation ids. */
export type Operations = Readonly<Record<string, Operation>>

/** A page of a list, and the header with the addresses of the others. */
export function page<T>(
  call: Call,
  items: readonly T[],
  wrap: (page: readonly T[]) => unknown = (all) => all,
): Answer {
  const size = Math.min(Math.max(Number(call.query.get('per_page') ?? 30), 1), 100)
  const number = Math.max(Number(call.query.get('page') ?? 1), 1)
  const last = Math.max(Math.ceil(items.length / size), 1)
  const link = (to: number, rel: string) => {
    const query = new URLSearchParams(call.query)
    query.set('page', String(to))
    return `<${call.url}?${query}>; rel="${rel}"`
  }
  const links = [
    ...(number > 1 ? [link(number - 1, 'prev')] : []),
    ...(number < last ? [link(number + 1, 'next'), link(last, 'last')] : []),
    ...(number > 1 ? [link(1, 'first')] : []),
  ]
  return {
    status: 200,
    body: wrap(items.slice((number - 1) * size, number * size)),
    ...(links.length > 0 ? { headers: { link: links.join(', ') } } : {}),
  }
}
