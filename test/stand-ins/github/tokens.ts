import { randomBytes } from 'node:crypto'
import type { Level } from './exchange.ts'
import { notFound, Refusal } from './failure.ts'

/** What a token may do, by permissions as a workflow names them, with `_` for `-`. */
export interface Token {
  readonly permissions: ReadonlyMap<string, Level>
  /** How many more calls it is good for. */
  callsLeft: number
}

const EVERYTHING = { contents: 'write', issues: 'write', pull_requests: 'write', actions: 'write' } as const

/** The tokens of one repository, as a workflow's GITHUB_TOKEN. */
export class Tokens {
  private readonly known = new Map<string, Token>()

  /** A new one. */
  make(permissions: Readonly<Record<string, Level>> = EVERYTHING): string {
    const name = `ghs_${randomBytes(18).toString('hex')}`
    const entries = Object.entries(permissions).map(
      ([key, level]) => [key.replaceAll('-', '_'), level] as const,
    )
    this.known.set(name, { permissions: new Map(entries), callsLeft: Number.POSITIVE_INFINITY })
    return name
  }

  expire(name: string, callsLeft: number): void {
    const token = this.known.get(name)
    if (!token) throw new Error(`the local GitHub gave out no token ${name}`)
    token.callsLeft = callsLeft
  }

  /** The token of a request; undefined for a request without one. Throws Refusal 401. */
  of(authorization: string | undefined): Token | undefined {
    if (authorization === undefined) return undefined
    const token = this.known.get(/^(?:token|bearer) (\S+)$/i.exec(authorization)?.[1] ?? '')
    if (!token || token.callsLeft-- <= 0) throw new Refusal(401, 'Bad credentials')
    return token
  }
}

/**
 * Throws Refusal unless the token may. Anyone may read a public repository; a private one is not there for who has no
 * token at all.
 */
export function permit(
  token: Token | undefined,
  needs: Readonly<Record<string, Level>>,
  repository: { readonly private: boolean },
): void {
  const wanted = Object.entries(needs)
  const reads = wanted.every(([, level]) => level === 'read')
  if (reads && !repository.private) return
  if (!token) {
    throw repository.private ? notFound() : new Refusal(401, 'Requires authentication')
  }
  if (wanted.some(([name, level]) => may(token, name, level))) return
  throw new Refusal(403, 'Resource not accessible by integration', {
    headers: {
      'x-accepted-github-permissions': wanted.map(([name, level]) => `${name}=${level}`).join('; '),
    },
  })
}

export function may(token: Token | undefined, name: string, level: Level): boolean {
  const has = token?.permissions.get(name)
  return (
    has === 'write' || (has === 'read' && level === 'read') || (token !== undefined && name === 'metadata')
  )
}
