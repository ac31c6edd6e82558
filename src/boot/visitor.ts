import { request as httpRequest } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { connect } from 'node:net'
import { SeederError } from '../report/error.ts'

/** Where a connection comes from and goes to. */
export interface Route {
  readonly from: string
  readonly to: string
  readonly port: number
  readonly timeoutMs: number
}

/** How a client looks at a server's certificate. */
export interface TlsClient {
  /** The name the server must have. */
  readonly name: string
  /** The authority that must have signed for it (PEM); empty for a client that does not look. */
  readonly ca: string
}

/**
 * The body of a `GET` over a connection of its own.
 * @param tls plain HTTP without
 * @throws SeederError when there is no 200 within the time
 */
export async function get(route: Route, path: string, tls?: TlsClient): Promise<string> {
  const options = { host: route.to, port: route.port, path, localAddress: route.from, agent: false as const }
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  const request = tls
    ? httpsRequest({ ...options, ...verification(tls), servername: tls.name, headers: { host: tls.name } })
    : httpRequest(options)
  const timer = setTimeout(
    () => request.destroy(new Error(`no answer within ${route.timeoutMs} ms`)),
    route.timeoutMs,
  )
  request.on('error', reject)
  request.on('response', (response) => {
    let body = ''
    response.setEncoding('utf8')
    response.on('data', (chunk: string) => {
      body += chunk
    })
    response.on('error', reject)
    response.on('end', () => {
      if (response.statusCode === 200 && response.complete) resolve(body)
      else reject(new Error(`status ${response.statusCode}`))
    })
  })
  request.end()
  try {
    return await promise
  } catch (cause) {
    const found = cause instanceof Error ? cause.message : String(cause)
    throw new SeederError(`asked ${route.to}:${route.port}${path} from ${route.from}; ${found}`, { cause })
  } finally {
    clearTimeout(timer)
  }
}

function verification({ ca }: TlsClient): { ca: string } | { rejectUnauthorized: false } {
  return ca === '' ? { rejectUnauthorized: false } : { ca }
}

/** How a port answers: `open`, `refused` (a reset or an ICMP error) or `silent` (dropped). */
export async function probePort(route: Route): Promise<'open' | 'refused' | 'silent'> {
  const socket = connect({ host: route.to, port: route.port, localAddress: route.from })
  const { promise, resolve } = Promise.withResolvers<'open' | 'refused' | 'silent'>()
  const timer = setTimeout(() => resolve('silent'), route.timeoutMs)
  socket.on('connect', () => resolve('open'))
  socket.on('error', () => resolve('refused'))
  try {
    return await promise
  } finally {
    clearTimeout(timer)
    socket.destroy()
  }
}

/**
 * The first line a server sends by itself, such as ssh's greeting.
 * @throws SeederError when it does not come within the time
 */
export async function greeting(route: Route): Promise<string> {
  const socket = connect({ host: route.to, port: route.port, localAddress: route.from })
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  const where = `${route.to}:${route.port} from ${route.from}`
  const timer = setTimeout(
    () => reject(new SeederError(`connected to ${where}; it did not greet within ${route.timeoutMs} ms`)),
    route.timeoutMs,
  )
  socket.setEncoding('utf8')
  socket.on('data', (text: string) => resolve(text.split('\r\n')[0] ?? ''))
  socket.on('error', (cause) =>
    reject(new SeederError(`could not connect to ${where}: ${cause.message}`, { cause })),
  )
  socket.on('close', () => reject(new SeederError(`connected to ${where}; it closed without a greeting`)))
  try {
    return await promise
  } finally {
    clearTimeout(timer)
    socket.destroy()
  }
}
