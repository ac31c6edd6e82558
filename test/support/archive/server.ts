import { once } from 'node:events'
import { createReadStream } from 'node:fs'
import { readFile, stat } from 'node:fs/promises'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join, normalize } from 'node:path'
import { pipeline } from 'node:stream/promises'

/**
 * How a file can be served wrongly: not at all, cut off, with other bytes of the same length, with more bytes, with
 * an error of the server, or begun and then nothing more.
 */
export type Fault = 'missing' | 'truncated' | 'tampered' | 'endless' | 'failing' | 'stalled'

/** A folder served over http on loopback; symbolic links in it are followed. */
export interface FileServer {
  /** With a slash at its end. */
  readonly url: string
  /** Path below `url` → how it is served; what is not in it is served as it is. */
  readonly faults: Map<string, Fault>
  /** The requested paths, in order. */
  readonly requests: string[]
  close(): Promise<void>
}

export async function serveFiles(folder: string): Promise<FileServer> {
  const faults = new Map<string, Fault>()
  const requests: string[] = []
  const server = createServer(async (request, response) => {
    const path = normalize(decodeURIComponent(new URL(request.url ?? '/', 'http://x').pathname)).slice(1)
    requests.push(path)
    const file = join(folder, path)
    const found = await stat(file).catch(() => undefined)
    const fault = found?.isFile() ? faults.get(path) : 'missing'
    if (fault === undefined) await send(response, file, found?.size ?? 0)
    else answer(response, fault === 'missing' ? Buffer.alloc(0) : await readFile(file), fault)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}/`,
    faults,
    requests,
    async close() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

/** A file as it is, never all of it in memory. */
async function send(response: ServerResponse, file: string, size: number): Promise<void> {
  response.writeHead(200, { 'content-length': size })
  // The client may close the connection early.
  await pipeline(createReadStream(file), response).catch(() => response.destroy())
}

function answer(response: ServerResponse, content: Buffer, fault: Fault): void {
  const half = content.subarray(0, Math.floor(content.length / 2))
  switch (fault) {
    case 'missing':
      response.writeHead(404).end('not here')
      return
    case 'failing':
      response.writeHead(503).end('later')
      return
    case 'truncated':
      response.end(half)
      return
    case 'stalled':
      response.writeHead(200, { 'content-length': content.length }).write(half)
      return
    case 'endless':
      response.end(Buffer.concat([content, Buffer.alloc(1 << 20)]))
      return
    case 'tampered':
      response.end(Buffer.from(content).fill('x', content.length - 1))
  }
}
