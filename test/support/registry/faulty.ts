import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** How an answer is wrong: cut off, other bytes of the same length, far more bytes, begun and then nothing, a login. */
export type RegistryFault = 'truncated' | 'tampered' | 'endless' | 'stalled' | 'login'

/** A registry on loopback that passes requests on to another, and answers some of them wrongly. */
export interface FaultyRegistry {
  /** With http://, without a path. */
  readonly url: string
  /** Which paths are answered how; undefined: none. */
  fault: { readonly path: RegExp; readonly kind: RegistryFault } | undefined
  /** The paths that were requested. */
  readonly requests: string[]
  close(): Promise<void>
}

/** @param url of the registry whose answers it gives */
export async function serveFaulty(url: string): Promise<FaultyRegistry> {
  const requests: string[] = []
  const server = createServer(async (request, response) => {
    const path = request.url ?? '/'
    requests.push(path)
    const accept = request.headers.accept
    const found = await fetch(`${url}${path}`, {
      method: request.method ?? 'GET',
      headers: accept === undefined ? {} : { accept },
    })
    const body = Buffer.from(await found.arrayBuffer())
    const kind = registry.fault?.path.test(path) && request.method === 'GET' ? registry.fault.kind : undefined
    const headers = Object.fromEntries(
      ['content-type', 'docker-content-digest', 'docker-distribution-api-version'].flatMap((name) => {
        const value = found.headers.get(name)
        return value === null ? [] : [[name, value]]
      }),
    )
    answer(response, { status: found.status, headers, body, kind })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const registry: FaultyRegistry = {
    url: `http://127.0.0.1:${port}`,
    fault: undefined,
    requests,
    async close() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
  return registry
}

interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer
  readonly kind: RegistryFault | undefined
}

function answer(response: ServerResponse, { status, headers, body, kind }: Answer): void {
  if (kind === 'login') {
    response.writeHead(401, { 'www-authenticate': 'Basic realm="members only"' })
    response.end('{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}')
  } else if (kind === 'endless') {
    response.writeHead(status, headers)
    const more = () => {
      while (!response.destroyed && response.write(Buffer.alloc(1 << 16)));
      if (!response.destroyed) response.once('drain', more)
    }
    more()
  } else if (kind === 'truncated' || kind === 'stalled') {
    response.writeHead(status, { ...headers, 'content-length': body.length })
    response.write(body.subarray(0, body.length >> 1), () => {
      if (kind === 'truncated') response.destroy()
    })
  } else {
    response.writeHead(status, { ...headers, 'content-length': body.length })
    response.end(kind === 'tampered' ? Buffer.from(body).fill(0x20, body.length >> 1) : body)
  }
}
