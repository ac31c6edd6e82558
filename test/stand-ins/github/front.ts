import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Answer } from './exchange.ts'
import type { Faults, Misbehaviour, Place } from './faults.ts'
import { BrokenOff } from './incoming.ts'
import { type LocalServer, listen } from './local-server.ts'

/** A request and its response. */
export interface Logged {
  readonly on: Place
  readonly method: string
  readonly path: string
  readonly query: string
  /** The header. */
  readonly range: string | undefined
  /** Of the response; 0 before it, and when the connection was reset instead. */
  status: number
  /** Bytes of content, received or sent. */
  bytes: number
}

/** A request while it is processed. */
export interface Visit {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly address: URL
  readonly fault: Misbehaviour | undefined
  readonly log: Logged
}

/** Answers by `send` or by itself. Throws BrokenOff; anything else that it throws fails the test. */
export type Handler = (visit: Visit) => Promise<void>

/** The servers: each request is logged, passes the faults, and is handled. */
export class Front {
  /** In the order of their arrival. */
  readonly requests: Logged[] = []
  /** Errors that fail the test. */
  readonly mistakes: Error[] = []
  private readonly faults: Faults
  private readonly servers: LocalServer[] = []
  private readonly running = new Set<Promise<void>>()

  constructor(faults: Faults) {
    this.faults = faults
  }

  /** Opens a server and answers its address. */
  async open(on: Place, handler: Handler): Promise<string> {
    const server = await listen(async (request, response) => {
      const visit = this.visit(on, request, response, handler)
      this.running.add(visit)
      await visit
      this.running.delete(visit)
    })
    this.servers.push(server)
    return server.url
  }

  /** Once nothing is written any more. */
  async close(): Promise<void> {
    await Promise.all(this.servers.map((server) => server.close()))
    await Promise.all(this.running)
  }

  private async visit(
    on: Place,
    request: IncomingMessage,
    response: ServerResponse,
    handler: Handler,
  ): Promise<void> {
    const address = new URL(request.url ?? '/', `http://${request.headers.host}`)
    const { pathname: path } = address
    const [method, query] = [request.method ?? 'GET', address.search.slice(1)]
    const log: Logged = { on, method, path, query, range: request.headers.range, status: 0, bytes: 0 }
    this.requests.push(log)
    const fault = this.faults.of(on, method, path, query)
    // The socket is closed when reading the request failed.
    const { socket } = request
    try {
      await act({ request, response, address, fault, log }, handler)
    } catch (error) {
      if (error instanceof BrokenOff) socket.resetAndDestroy()
      else this.fail(error, response)
    }
  }

  private fail(error: unknown, response: ServerResponse): void {
    const mistake = error instanceof Error ? error : new Error(String(error))
    this.mistakes.push(mistake)
    process.stderr.write(`local GitHub: ${mistake.stack}\n`)
    if (response.headersSent) return void response.destroy()
    response.writeHead(501, { 'content-type': 'application/json' })
    response.end(JSON.stringify({ message: `local GitHub: ${mistake.message}` }))
  }
}

async function act(visit: Visit, handler: Handler): Promise<void> {
  const { request, fault, log } = visit
  if (fault === 'reset') return void request.socket.resetAndDestroy()
  const given = typeof fault === 'object' && 'status' in fault ? fault : undefined
  // An upload that ends in a server error leaves a starter; other requests have no effect.
  if (!given || (log.on === 'upload' && given.status >= 500)) return handler(visit)
  request.resume()
  send(visit, given)
}

/** Sends a response, or that of a fault. */
export function send({ response, fault, log }: Visit, real: Answer): void {
  if (fault === 'lose-answer') return void response.socket?.resetAndDestroy()
  const { status, body, headers = {} } = typeof fault === 'object' && 'status' in fault ? fault : real
  const raw = typeof body === 'string' || Buffer.isBuffer(body)
  response.writeHead(status, { 'content-type': 'application/json; charset=utf-8', ...headers })
  log.status = status
  if (body === undefined) response.end()
  else response.end(raw ? body : JSON.stringify(body))
}
