import { createSocket } from 'node:dgram'
import { type ClientRequest, request as httpRequest } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { connect } from 'node:net'
import { text } from 'node:stream/consumers'
import { execa } from '../process/child-process.ts'
import { SeederError } from '../report/error.ts'

const SUCCESS = [200, 201]

/** Where a connection comes from and goes to. */
export interface Route {
  readonly from: string
  readonly to: string
  readonly port: number
  readonly timeoutMs: number
}

/** How a client checks a server's certificate. */
export interface TlsClient {
  /** The name the server must have. */
  readonly name: string
  /** The authority that must have signed it (PEM); empty for a client that does not verify. */
  readonly ca: string
}

/**
 * The body of the response to a `GET` over a connection of its own.
 * @param tls plain HTTP when absent
 * @throws SeederError when there is no response with status 200 within the time
 */
export async function get(route: Route, path: string, tls?: TlsClient): Promise<string> {
  const options = { host: route.to, port: route.port, path, localAddress: route.from, agent: false as const }
  const request = tls
    ? httpsRequest({ ...options, ...verification(tls), servername: tls.name, headers: { host: tls.name } })
    : httpRequest(options)
  request.end()
  return readResponse(request, `${route.to}:${route.port}${path} from ${route.from}`, route.timeoutMs)
}

/**
 * The body of the response to a request.
 * @param name of the requested resource, for messages
 * @throws SeederError when there is no response with status 200 or, of something created, 201 within the time
 */
export async function readResponse(request: ClientRequest, name: string, timeoutMs: number): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  const timer = setTimeout(() => request.destroy(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs)
  request.on('error', reject)
  request.on('response', (response) => {
    text(response).then((body) => {
      if (SUCCESS.includes(response.statusCode ?? 0) && response.complete) resolve(body)
      else reject(new Error(`status ${response.statusCode}: ${body.slice(0, 200)}`))
    }, reject)
  })
  try {
    return await promise
  } catch (cause) {
    const found = cause instanceof Error ? cause.message : String(cause)
    throw new SeederError(`requested ${name}; ${found}`, { cause })
  } finally {
    clearTimeout(timer)
  }
}

function verification({ ca }: TlsClient): { ca: string } | { rejectUnauthorized: false } {
  return ca === '' ? { rejectUnauthorized: false } : { ca }
}

/** How a port answers: `refused` is a reset or an ICMP error, `silent` no answer at all. */
export type PortAnswer = 'open' | 'refused' | 'silent'

/** Tries to connect to a TCP port. */
export async function probePort(route: Route): Promise<PortAnswer> {
  const socket = connect({ host: route.to, port: route.port, localAddress: route.from })
  const { promise, resolve } = Promise.withResolvers<PortAnswer>()
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

// A kernel sends an address six ICMP errors at once and then one each second, so that datagrams have to be repeated.
const DATAGRAM_INTERVAL_MS = 1200

/** Sends empty datagrams to a UDP port. One that is open may be `silent` as well. */
export async function probeDatagram(route: Route): Promise<PortAnswer> {
  const socket = createSocket('udp4')
  const { promise, resolve } = Promise.withResolvers<PortAnswer>()
  const timer = setTimeout(() => resolve('silent'), route.timeoutMs)
  let again: NodeJS.Timeout | undefined
  socket.on('message', () => resolve('open'))
  // ECONNREFUSED, from the ICMP error of a closed port.
  socket.on('error', () => resolve('refused'))
  const send = () => socket.send('', (error) => error && resolve('refused'))
  socket.bind({ address: route.from }, () =>
    socket.connect(route.port, route.to, () => {
      send()
      again = setInterval(send, DATAGRAM_INTERVAL_MS)
    }),
  )
  try {
    return await promise
  } finally {
    clearTimeout(timer)
    clearInterval(again)
    socket.close()
  }
}

/**
 * Sends echo requests, one a second, for which the route's port is ignored. Needs root in the network namespace.
 * @throws SeederError when they cannot be sent
 */
export async function probeEcho({ from, to, timeoutMs }: Route): Promise<PortAnswer> {
  const deadline = String(Math.ceil(timeoutMs / 1000))
  const { exitCode, stderr } = await execa('ping', ['-n', '-q', '-c', '1', '-w', deadline, '-I', from, to], {
    reject: false,
  })
  if (exitCode === 0) return 'open'
  if (exitCode === 1) return 'silent'
  throw new SeederError(`could not ping ${to} from ${from}: ${stderr}`, { fix: 'run scripts/setup.sh' })
}

/**
 * The first line that a server sends by itself, such as that of ssh.
 * @throws SeederError when it does not arrive within the time
 */
export async function readGreeting(route: Route): Promise<string> {
  const socket = connect({ host: route.to, port: route.port, localAddress: route.from })
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  const where = `${route.to}:${route.port} from ${route.from}`
  const timer = setTimeout(
    () => reject(new SeederError(`connected to ${where}; it sent no greeting within ${route.timeoutMs} ms`)),
    route.timeoutMs,
  )
  socket.setEncoding('utf8')
  socket.on('data', (data: string) => resolve(data.split('\r\n')[0] ?? ''))
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
