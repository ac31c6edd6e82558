import { createServer as createHttpServer, type RequestListener, type Server } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import type { TestKeyPair } from '../certificates.ts'
import type { Peer } from '../site.ts'
import type { WorkerResponse } from './traffic.ts'

/** A simulated Kubernetes API server: TLS with a certificate of its cluster, `/readyz`, and `/version`. */
export class ApiServer {
  readonly peer: Peer
  /** The number of TCP connections. */
  connections = 0
  /** The number of TLS handshakes that the client completed, because it accepted the certificate. */
  handshakes = 0
  private readonly server: Server

  constructor(peer: Peer, pair: TestKeyPair) {
    this.peer = peer
    this.server = createHttpsServer({ cert: pair.cert, key: pair.key }, (request, response) => {
      if (request.url === '/readyz') response.end('ok')
      else response.setHeader('content-type', 'application/json').end(JSON.stringify({ server: peer.name }))
    })
    this.server.on('connection', () => this.connections++)
    this.server.on('secureConnection', () => this.handshakes++)
    // Some of these servers have a certificate that clients refuse.
    this.server.on('tlsClientError', () => undefined)
  }

  async start(port: number): Promise<void> {
    await listen(this.server, this.peer.address, port)
  }

  async stop(): Promise<void> {
    await close(this.server)
  }
}

/** A simulated worker: NodePort services and kube-proxy's health port, on an address of its own. */
export class Worker {
  readonly peer: Peer
  private readonly ports: { readonly services: readonly number[]; readonly health: number }
  private servers: Server[] = []

  constructor(peer: Peer, ports: { readonly services: readonly number[]; readonly health: number }) {
    this.peer = peer
    this.ports = ports
  }

  async start(): Promise<void> {
    const service: RequestListener = (request, response) => {
      const answer: WorkerResponse = {
        backend: this.peer.name,
        client: request.socket.remoteAddress ?? '',
      }
      response.setHeader('content-type', 'application/json').end(JSON.stringify(answer))
    }
    const health: RequestListener = (request, response) => {
      response.writeHead(request.url === '/healthz' ? 200 : 404).end('{}')
    }
    const start = async (port: number, handler: RequestListener) => {
      const server = createHttpServer({ keepAlive: false }, handler)
      await listen(server, this.peer.address, port)
      return server
    }
    this.servers = await Promise.all([
      start(this.ports.health, health),
      ...this.ports.services.map((port) => start(port, service)),
    ])
  }

  /** Closes the ports and every connection. */
  async stop(): Promise<void> {
    const servers = this.servers
    this.servers = []
    await Promise.all(servers.map(close))
  }
}

async function listen(server: Server, address: string, port: number): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  server.once('error', reject).listen(port, address, resolve)
  await promise
}

async function close(server: Server): Promise<void> {
  const closed = new Promise((resolve) => server.close(resolve))
  server.closeAllConnections()
  await closed
}
