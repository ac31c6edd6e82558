import { createServer, type Server } from 'node:https'
import type { TestKeyPair } from '../certificates.ts'
import type { Peer } from '../site.ts'

/** Stands in for a Kubernetes API server: TLS with a certificate of its cluster, `/readyz`, and `/version`. */
export class ApiServer {
  readonly peer: Peer
  /** TCP connections that came in. */
  connections = 0
  /** Connections whose TLS handshake the other side completed: it took the certificate. */
  handshakes = 0
  private readonly server: Server

  constructor(peer: Peer, pair: TestKeyPair) {
    this.peer = peer
    this.server = createServer({ cert: pair.cert, key: pair.key }, (request, response) => {
      if (request.url === '/readyz') response.end('ok')
      else response.setHeader('content-type', 'application/json').end(JSON.stringify({ server: peer.name }))
    })
    this.server.on('connection', () => this.connections++)
    this.server.on('secureConnection', () => this.handshakes++)
    // A client that refuses our certificate is what some of these servers are for.
    this.server.on('tlsClientError', () => undefined)
  }

  async start(port: number): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    this.server.once('error', reject).listen(port, this.peer.address, resolve)
    await promise
  }

  async stop(): Promise<void> {
    const closed = new Promise((resolve) => this.server.close(resolve))
    this.server.closeAllConnections()
    await closed
  }
}
