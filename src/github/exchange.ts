import * as http from 'node:http'
import * as https from 'node:https'
import { pipeline, type Readable, Transform } from 'node:stream'
import { complaintOf, RefusedError } from './failure.ts'

/** Without a byte in either direction for this long, the connection is considered dead. */
const SILENT_MS = 60_000

/** After the last byte of an upload GitHub reads the whole file before it answers. */
const DIGESTING_MS = 5 * 60_000

const MOST_REDIRECTS = 5

interface Body {
  readonly bytes: Readable
  readonly size: number
  readonly onBytes: (sent: number) => void
}

/** A single request. */
export interface Outgoing {
  readonly method: 'GET' | 'POST'
  readonly headers: Readonly<Record<string, string>>
  readonly body?: Body
}

/**
 * Sends one request through node:http or node:https, which stream the body (fetch keeps it in memory). The caller reads
 * or destroys the response.
 */
export function exchange(url: URL, outgoing: Outgoing, signal: AbortSignal): Promise<http.IncomingMessage> {
  const { method, headers, body } = outgoing
  return new Promise((resolve, reject) => {
    let response: http.IncomingMessage | undefined
    // Node's own agent uses a proxy when NODE_USE_ENV_PROXY is set.
    const { request: begin } = url.protocol === 'https:' ? https : http
    const request = begin(url, { method, headers, signal })
    request.setTimeout(SILENT_MS)
    request.on('timeout', () => {
      const timeout = new Error(`no data for ${SILENT_MS / 1000} s`)
      if (response) response.destroy(timeout)
      else request.destroy(timeout)
    })
    request.on('error', reject)
    request.on('response', (answer) => {
      response = answer
      resolve(answer)
    })
    if (!body) {
      request.end()
      return
    }
    request.on('finish', () => request.setTimeout(DIGESTING_MS))
    let sent = 0
    const counter = new Transform({
      transform(chunk: Buffer, _encoding, done) {
        sent += chunk.length
        body.onBytes(sent)
        done(null, chunk)
      },
      // The server would wait for the rest of a file that has become shorter.
      flush(done) {
        done(sent === body.size ? null : new Error(`the file has ${sent} bytes and no longer ${body.size}`))
      },
    })
    // An answer before the end of the upload counts.
    pipeline(body.bytes, counter, request, (error) => error && reject(error))
  })
}

/**
 * Sends a GET and follows redirects. Only the first host gets the token.
 * @returns the response, and whether another host sent it
 */
export async function follow(
  url: URL,
  headers: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<{ response: http.IncomingMessage; redirected: boolean }> {
  let [next, sent] = [url, headers]
  for (let hop = 0; hop <= MOST_REDIRECTS; hop++) {
    const current = next
    const response = await exchange(current, { method: 'GET', headers: sent }, signal)
    const { location } = response.headers
    if (!isRedirect(response.statusCode) || location === undefined) {
      return { response, redirected: current.host !== url.host }
    }
    response.destroy()
    next = new URL(location, current)
    if (current.protocol === 'https:' && next.protocol !== 'https:') {
      throw new Error(`GitHub redirected to ${next.protocol}//${next.host}, which is not encrypted`)
    }
    if (next.host !== current.host) sent = withoutToken(sent)
  }
  throw new Error(`GitHub redirected more than ${MOST_REDIRECTS} times`)
}

function isRedirect(status: number | undefined): boolean {
  return status !== undefined && [301, 302, 303, 307, 308].includes(status)
}

function withoutToken(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).filter(([name]) => name.toLowerCase() !== 'authorization'),
  )
}

/** Maximum characters that are read of an error response. */
const MOST_COMPLAINT = 64 * 1024

/** Reads and closes an error response. */
export async function refused(response: http.IncomingMessage): Promise<RefusedError> {
  let text = ''
  try {
    for await (const chunk of response.setEncoding('utf8')) {
      text += chunk
      if (text.length > MOST_COMPLAINT) break
    }
  } catch {
    // The status is enough.
  }
  response.destroy()
  const { statusCode = 0, statusMessage = '' } = response
  const headers = Object.fromEntries(
    Object.entries(response.headers).map(([name, value]) => [name, value?.toString()]),
  )
  return new RefusedError({ status: statusCode, message: complaint(text) || statusMessage, headers })
}

function complaint(text: string): string {
  try {
    const found = complaintOf(JSON.parse(text))
    if (found !== undefined) return found
  } catch {
    // The storage answers in XML, and a proxy in HTML.
  }
  return text.replaceAll(/\s+/g, ' ').trim().slice(0, 200)
}
