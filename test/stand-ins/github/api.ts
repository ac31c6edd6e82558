import { randomBytes } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { Operation as Described, OpenAPIBackend, Request } from 'openapi-backend'
import type { Answer, Operation, Operations } from './exchange.ts'
import { notFound, Refusal } from './failure.ts'
import type { Incoming } from './incoming.ts'
import type { Repository } from './repository.ts'
import { permit, type Tokens } from './tokens.ts'

/** Paths that end in something with slashes: it counts as one part. */
const TAIL =
  /^(\/repos\/[^/]+\/[^/]+\/(?:contents|git\/ref|git\/refs|git\/matching-refs|releases\/tags|commits)\/)(.+)$/

/** A mistake of the local GitHub, or a request for what it does not have: nothing that a test may overlook. */
class Mistake extends Error {}

/** GitHub's REST API: each request and each answer is held against GitHub's own description. */
export class Api {
  private readonly description: OpenAPIBackend
  private readonly operations: Operations
  private readonly repository: Repository
  private readonly tokens: Tokens

  constructor(description: OpenAPIBackend, operations: Operations, repository: Repository, tokens: Tokens) {
    this.description = description
    this.operations = operations
    this.repository = repository
    this.tokens = tokens
  }

  /** `address`: of the request. `body`: as it is read already, or as it comes. Throws Mistake and BrokenOff. */
  async answer(request: IncomingMessage, address: URL, body: string | Incoming): Promise<Answer> {
    const repository = `/repos/${this.repository.fullName}`
    // The addresses of further pages are by the repository's number.
    const path = address.pathname.replace(
      new RegExp(`^/repositories/${this.repository.id}(?=/|$)`),
      repository,
    )
    const method = request.method ?? 'GET'
    const shape = {
      method,
      path: path.replace(TAIL, (_, head, tail) => head + tail.replaceAll('/', '%2F')),
      query: address.search.slice(1),
      headers: Object.fromEntries(
        Object.entries(request.headers).map(([name, value]) => [name, value ?? '']),
      ),
    }
    const described = this.description.matchOperation(shape)
    const operation = this.operations[described?.operationId ?? '']
    if (!described || !operation) throw new Mistake(`the local GitHub does not have ${method} ${path}`)
    const answered = await this.attempt(described, operation, async () => {
      const token = this.tokens.of(request.headers.authorization)
      if (!path.startsWith(`${repository}/`) && path !== repository) throw notFound()
      permit(token, operation.needs, this.repository)
      const content = typeof body !== 'string' || body === '' ? undefined : parse(body)
      return operation.answer({
        params: this.params(shape, described, content),
        query: address.searchParams,
        body: content,
        headers: request.headers,
        token,
        incoming: typeof body === 'string' ? undefined : body,
        url: `${address.origin}${path.replace(repository, `/repositories/${this.repository.id}`)}`,
      })
    })
    return {
      ...answered,
      headers: { ...rateLimit(), 'x-github-request-id': requestId(), ...answered.headers },
    }
  }

  /** Checks a request; answers what is in its path. Throws Refusal. */
  private params(shape: Request, described: Described, body: unknown): Record<string, string> {
    const { validator, router } = this.description
    // A copy, since the validator may change what it checks.
    const { errors } = validator.validateRequest({ ...shape, body: structuredClone(body) }, described)
    if (errors) throw invalidRequest(errors.map(({ instancePath, message }) => `${instancePath} ${message}`))
    const params = Object.entries(router.parseRequest(shape, described).params)
    return Object.fromEntries(params.map(([key, value]) => [key, decodeURIComponent(String(value))]))
  }

  private async attempt(
    described: Described,
    { needs }: Operation,
    act: () => Promise<Answer>,
  ): Promise<Answer> {
    try {
      const answer = await act()
      this.check(described, answer)
      return answer
    } catch (error) {
      if (!(error instanceof Refusal)) throw error
      return refused(error, described.externalDocs?.url, needs)
    }
  }

  private check(described: Described, { status, body }: Answer): void {
    const id = described.operationId ?? ''
    if (!Object.hasOwn(described.responses ?? {}, status)) {
      throw new Mistake(`${id} does not answer ${status}`)
    }
    // What has no undefined in it, as it will be sent. A raw file is no JSON.
    if (Buffer.isBuffer(body)) return
    const sent = body === undefined ? undefined : JSON.parse(JSON.stringify(body))
    const { errors } = this.description.validator.validateResponse(sent, described, status)
    if (status === 204 || status === 302 || !errors) return
    throw new Mistake(`${id} answered ${status} with ${JSON.stringify(errors)}`)
  }
}

function parse(body: string): unknown {
  try {
    return JSON.parse(body)
  } catch {
    throw new Refusal(400, 'Problems parsing JSON')
  }
}

function invalidRequest(problems: readonly string[] = []): Refusal {
  return new Refusal(422, `Invalid request.\n\n${problems.join('\n')}`)
}

function refused(refusal: Refusal, docs: string | undefined, needs: Operation['needs']): Answer {
  const accepted = Object.entries(needs).map(([name, level]) => `${name}=${level}`)
  return {
    status: refusal.status,
    headers: { 'x-accepted-github-permissions': accepted.join('; '), ...refusal.headers },
    body: {
      message: refusal.message,
      ...(refusal.errors.length > 0 ? { errors: refusal.errors } : {}),
      documentation_url: docs ?? 'https://docs.github.com/rest',
      status: String(refusal.status),
    },
  }
}

function rateLimit(): Record<string, string> {
  const reset = Math.ceil(Date.now() / 1000) + 3_600
  return { 'x-ratelimit-limit': '5000', 'x-ratelimit-remaining': '4999', 'x-ratelimit-reset': String(reset) }
}

function requestId(): string {
  return randomBytes(9).toString('hex').toUpperCase()
}
