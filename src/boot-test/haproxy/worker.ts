import { createServer, type RequestListener, type Server } from 'node:http'
import type { Peer } from '../site.ts'

/** What a worker answers on its NodePort. */
export interface WorkerAnswer {
  readonly backend: string
  /** Who asked, as the worker sees it: the load balancer. */
  readonly client: string
}

/** Stands in for a worker: NodePort services and kube-proxy's health port, on an address of its own. */
export class Worker {
  readonly peer: Peer
  private readonly ports: { readonly services: readonly number[]; readonly health: number }
  private servers: Server[] = []

  constructor(peer: Peer, ports: { readonly services: readonly number[]; readonly health: number }) {
    this.peer = peer
    this.ports = ports
  }

  /** Opens the ports. */
  async start(): Promise<void> {
    const service: RequestListener = (request, response) => {
      const answer: WorkerAnswer = {
        backend: this.peer.name,
        client: request.socket.remoteAddress ?? '',
      }
      response.setHeader('content-type', 'application/json').end(JSON.stringify(answer))
    }
    const health: RequestListener = (request, response) => {
      response.writeHead(request.url === '/healthz' ? 200 : 404).end('{}')
    }
    this.servers = await Promise.all([
      listen(this.peer.address, this.ports.health, health),
      ...this.ports.services.map((port) => listen(this.peer.address, port, service)),
    ])
  }

  /** Dies: its ports are closed, and so is every connection. */
  async stop(): Promise<void> {
    const servers = this.servers
    this.servers = []
    await Promise.all(
      servers.map((server) => {
        const closed = new Promise((resolve) => server.close(resolve))
        server.closeAllConnections()
        return closed
      }),
    )
  }
}

async function listen(address: string, port: number, handler: RequestListener): Promise<Server> {
  const server = createServer({ keepAlive: false }, handler)
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  server.once('error', reject).listen(port, address, resolve)
  await promise
  return server
}
