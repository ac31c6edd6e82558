import * as http from 'node:http'
import * as https from 'node:https'
import { pipeline, type Readable, Transform } from 'node:stream'
import { complaintOf, RefusedError } from './failure.ts'

/** No byte in either direction for this long means that the other side is not answering any more. */
const SILENT_MS = 60_000

/** After the last byte of an upload GitHub looks at the whole file before it answers. */
const DIGESTING_MS = 5 * 60_000

const MOST_REDIRECTS = 5

/** The other side fell silent. */
class SilentError extends Error {}

interface Body {
  readonly bytes: Readable
  readonly size: number
  readonly onBytes: (sent: number) => void
}

/** A request as it is sent once. */
export interface Outgoing {
  readonly method: 'GET' | 'POST'
  readonly headers: Readonly<Record<string, string>>
  readonly body?: Body
}

/**
 * Sends one request through node:http or node:https, whose memory stays flat whatever the size (fetch holds the whole
 * body). The answer's bytes are for the caller to read or to destroy.
 */
export function exchange(url: URL, outgoing: Outgoing, signal: AbortSignal): Promise<http.IncomingMessage> {
  const { method, headers, body } = outgoing
  return new Promise((resolve, reject) => {
    let response: http.IncomingMessage | undefined
    // Node's own agent, which goes through a proxy when NODE_USE_ENV_PROXY is set.
    const { request: begin } = url.protocol === 'https:' ? https : http
    const request = begin(url, { method, headers, signal })
    request.setTimeout(SILENT_MS)
    request.on('timeout', () => {
      const silent = new SilentError('the other side fell silent')
      if (response) response.destroy(silent)
      else request.destroy(silent)
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
      // Otherwise the server would wait for the rest of a file that has become shorter.
      flush(done) {
        done(sent === body.size ? null : new Error(`the file has ${sent} bytes and no longer ${body.size}`))
      },
    })
    // When GitHub has answered before it had everything, its answer counts.
    pipeline(body.bytes, counter, request, (error) => error && reject(error))
  })
}

/**
 * As `exchange` for a GET, through redirects. The token is for the first host alone: another one gets the request
 * without it. `redirected`: whether it was another one that answered.
 */
export async function follow(
  url: URL,
  headers: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<{ response: http.IncomingMessage; redirected: boolean }> {
  let [at, carried] = [url, headers]
  for (let hop = 0; hop <= MOST_REDIRECTS; hop++) {
    const response = await exchange(at, { method: 'GET', headers: carried }, signal)
    const { location } = response.headers
    if (!isRedirect(response.statusCode) || location === undefined) {
      return { response, redirected: at.host !== url.host }
    }
    response.destroy()
    const next = new URL(location, at)
    if (at.protocol === 'https:' && next.protocol !== 'https:') {
      throw new Error(`GitHub sent us to ${next.protocol}//${next.host}, which is not encrypted`)
    }
    if (next.host !== at.host) carried = withoutToken(carried)
    at = next
  }
  throw new Error(`GitHub sent us on more than ${MOST_REDIRECTS} times`)
}

function isRedirect(status: number | undefined): boolean {
  return status !== undefined && [301, 302, 303, 307, 308].includes(status)
}

function withoutToken(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).filter(([name]) => name.toLowerCase() !== 'authorization'),
  )
}

/** Enough of an answer to know what is wrong. */
const MOST_COMPLAINT = 64 * 1024

/** What an answer that is not a success says, as an error. The answer is read, as far as it makes sense, and closed. */
export async function refused(response: http.IncomingMessage): Promise<RefusedError> {
  let text = ''
  try {
    for await (const chunk of response.setEncoding('utf8')) {
      text += chunk
      if (text.length > MOST_COMPLAINT) break
    }
  } catch {
    // Its status says what matters.
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
    const said = complaintOf(JSON.parse(text))
    if (said !== undefined) return said
  } catch {
    // The storage answers in XML, and a proxy in HTML.
  }
  return text.replaceAll(/\s+/g, ' ').trim().slice(0, 200)
}
