import { createReadStream } from 'node:fs'
import type { ServerResponse } from 'node:http'
import type { Misbehaviour } from './faults.ts'
import { send, type Visit } from './front.ts'

/** A file to send. */
export interface Download {
  readonly file: string
  /** Bytes. */
  readonly size: number
  readonly contentType: string
  readonly name: string
}

/**
 * The host that sends files to clients with a signed URL. Like the storage behind GitHub it refuses a request that has a
 * token, too.
 */
export async function sendFile(visit: Visit, wanted: Download | undefined): Promise<void> {
  const { request, response, fault, log } = visit
  if (request.headers.authorization !== undefined) {
    return refuse(visit, 400, 'InvalidArgument', 'Only one auth mechanism allowed')
  }
  if (!wanted) return refuse(visit, 403, 'AuthenticationFailed', 'Signature did not match')
  const range = fault === 'no-range' ? undefined : parseRange(request.headers.range, wanted.size)
  if (range === 'unsatisfiable') return refuse(visit, 416, 'InvalidRange', 'The range specified is invalid')
  const first = range?.first ?? 0
  const whole = (range?.last ?? wanted.size - 1) - first + 1
  const length = fault === 'truncate' ? Math.floor(whole / 2) : whole
  log.status = range ? 206 : 200
  response.writeHead(log.status, {
    'content-type': wanted.contentType,
    'content-length': length,
    'content-disposition': `attachment; filename="${wanted.name}"`,
    ...(fault === 'no-range' ? {} : { 'accept-ranges': 'bytes' }),
    ...(range ? { 'content-range': `bytes ${first}-${first + whole - 1}/${wanted.size}` } : {}),
  })
  if (request.method === 'HEAD' || length === 0) return void response.end()
  const end = first + length - 1
  const bytes = createReadStream(wanted.file, { start: first, end, highWaterMark: 1 << 20 })
  try {
    for await (const chunk of spoilt(bytes, length, fault)) {
      log.bytes += chunk.length
      await written(response, chunk)
    }
    response.end()
  } catch {
    // Broken off by the fault or by the client. What was written is sent before the connection ends.
    response.destroy()
  }
}

/** Applies a fault to a stream of bytes. Throws when the fault breaks it off. */
async function* spoilt(
  bytes: AsyncIterable<Buffer>,
  length: number,
  fault: Misbehaviour | undefined,
): AsyncIterable<Buffer> {
  const end = typeof fault === 'object' && 'resetAfter' in fault ? fault.resetAfter : Number.POSITIVE_INFINITY
  let passed = 0
  for await (const chunk of bytes) {
    passed += chunk.length
    if (fault === 'wrong-digest' && passed === length) {
      chunk.writeUInt8((chunk.readUInt8(chunk.length - 1) + 1) % 256, chunk.length - 1)
    }
    if (passed < end) yield chunk
    else {
      yield chunk.subarray(0, chunk.length - (passed - end))
      throw new Error('broken off by a fault')
    }
  }
}

/** Resolves when the kernel has the bytes. Rejects when the connection is closed, which Node.js does not always report. */
function written(response: ServerResponse, chunk: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    const closed = () => reject(new Error('the connection was closed'))
    if (response.destroyed) return closed()
    response.once('close', closed)
    response.write(chunk, (error) => {
      response.off('close', closed)
      if (error) reject(error)
      else resolve()
    })
  })
}

function parseRange(
  header: string | undefined,
  size: number,
): { first: number; last: number } | 'unsatisfiable' | undefined {
  const [, from = '', to = ''] = /^bytes=(\d+)-(\d*)$/.exec(header ?? '') ?? []
  if (from === '') return undefined
  const first = Number(from)
  const last = to === '' ? size - 1 : Math.min(Number(to), size - 1)
  return first > last ? 'unsatisfiable' : { first, last }
}

function refuse(visit: Visit, status: number, code: string, message: string): void {
  const body = `<?xml version="1.0"?><Error><Code>${code}</Code><Message>${message}</Message></Error>`
  send(visit, { status, headers: { 'content-type': 'application/xml' }, body })
}
