import { connect, type Socket } from 'node:net'
import { createInterface, type Interface } from 'node:readline'
import { PveError } from '../failure.ts'

/** A connection over which JSON goes, a value a line. */
export class JsonSocket {
  private readonly socket: Socket
  private readonly lines: AsyncIterator<string>
  private readonly reader: Interface

  private constructor(socket: Socket) {
    this.socket = socket
    this.reader = createInterface({ input: socket })
    this.lines = this.reader[Symbol.asyncIterator]()
  }

  /** Connects to a socket's path. */
  static async open(path: string): Promise<JsonSocket> {
    const socket = connect(path)
    await new Promise<void>((connected, failed) => {
      socket.once('connect', () => connected())
      socket.once('error', failed)
    })
    // Its end is seen by whoever reads next.
    socket.on('error', () => undefined)
    return new JsonSocket(socket)
  }

  send(value: unknown, before = ''): void {
    this.socket.write(
      Buffer.concat([Buffer.from(before, 'latin1'), Buffer.from(`${JSON.stringify(value)}\n`)]),
    )
  }

  /**
   * The next value that has what is looked for.
   * @throws PveError when it does not come within the time
   */
  async receive(timeoutMs: number, fits: (value: Reply) => boolean): Promise<Reply> {
    const timer = setTimeout(() => this.close(), timeoutMs)
    try {
      for (;;) {
        const { value, done } = await this.lines.next()
        if (done === true) throw new PveError('got timeout')
        const reply = parse(value)
        if (reply !== undefined && fits(reply)) return reply
      }
    } finally {
      clearTimeout(timer)
    }
  }

  close(): void {
    this.reader.close()
    this.socket.destroy()
  }
}

/** What QEMU and its guest agent answer. */
export interface Reply {
  readonly return?: unknown
  readonly error?: { readonly desc: string }
  readonly QMP?: unknown
}

/** The guest agent's mark in front of an answer is no JSON. */
function parse(line: string): Reply | undefined {
  try {
    return JSON.parse(line.replace(/^.*[\uFFFD\xff]/s, ''))
  } catch {
    return undefined
  }
}
