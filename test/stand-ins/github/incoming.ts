import type { IncomingMessage } from 'node:http'
import { text } from 'node:stream/consumers'
import type { Misbehaviour } from './faults.ts'

/** The sender or a fault broke the content off. */
export class BrokenOff extends Error {}

/** The whole of a short request. Throws BrokenOff. */
export async function bodyOf(request: IncomingMessage): Promise<string> {
  return text(request).catch((error) => {
    throw new BrokenOff('the request broke off', { cause: error })
  })
}

/** The content of an upload after a fault was applied. */
export class Incoming {
  /** Bytes, as the sender announces; NaN when it does not. */
  readonly length: number
  readonly fault: Misbehaviour | undefined
  private readonly request: IncomingMessage
  private readonly count: (bytes: number) => void

  /** `count` gets the number of bytes that have arrived. */
  constructor(request: IncomingMessage, fault: Misbehaviour | undefined, count: (bytes: number) => void) {
    this.request = request
    this.fault = fault
    this.count = count
    this.length = Number(request.headers['content-length'] ?? Number.NaN)
  }

  /** Throws BrokenOff. */
  async *bytes(): AsyncIterable<Buffer> {
    const { fault, length } = this
    const end =
      typeof fault === 'object' && 'resetAfter' in fault ? fault.resetAfter : Number.POSITIVE_INFINITY
    const kept = fault === 'truncate' ? Math.floor(length / 2) : Number.POSITIVE_INFINITY
    let received = 0
    try {
      for await (const chunk of this.request as AsyncIterable<Buffer>) {
        const before = received
        received += chunk.length
        this.count(received)
        if (received >= end) throw new Error('reset by a fault')
        if (before === 0 && fault === 'wrong-digest') chunk.writeUInt8((chunk.readUInt8(0) + 1) % 256, 0)
        if (before < kept) yield chunk.subarray(0, kept - before)
      }
    } catch (error) {
      throw new BrokenOff('the upload broke off', { cause: error })
    }
    if (received < length) throw new BrokenOff(`${received} of ${length} bytes came`)
  }
}
