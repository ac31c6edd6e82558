import type { Releases } from '../../github/release.ts'
import { SeederError } from '../../report/error.ts'
import type { Holder } from './holders.ts'

/** The bytes of a pack from `from` up to `until`, across its parts. Throws what the connection throws. */
export async function* packBytes(
  releases: Releases,
  { release, pack }: Holder,
  from: number,
  until: number,
): AsyncGenerator<Buffer> {
  let begin = 0
  for (const part of pack.parts) {
    const [first, end] = [Math.max(0, from - begin), Math.min(part.size, until - begin)]
    begin += part.size
    if (first >= end) continue
    const asset = release.assets.find(({ name }) => name === part.name)
    if (!asset) throw new SeederError(`the release ${release.tag} has no asset ${part.name}`)
    const { from: at, bytes } = await releases.download(asset, first, end)
    try {
      yield* between(bytes, first - at, end - at)
    } finally {
      bytes.destroy()
    }
  }
}

/** A server without Range gives what comes before as well, and what comes after. */
async function* between(bytes: AsyncIterable<Buffer>, first: number, end: number): AsyncGenerator<Buffer> {
  if (first < 0) throw new Error(`the server began ${-first} bytes too late`)
  let at = 0
  for await (const chunk of bytes) {
    const wanted = chunk.subarray(Math.max(0, first - at), Math.max(0, end - at))
    at += chunk.length
    if (wanted.length > 0) yield wanted
    if (at >= end) return
  }
  throw new Error('the connection ended')
}

/** Cuts a stream into pieces of known length: one is read to its end, or left, before the next. */
export class Cutter {
  readonly #source: AsyncIterator<Buffer>
  #rest: Buffer = Buffer.alloc(0)

  constructor(source: AsyncIterator<Buffer>) {
    this.#source = source
  }

  /** The next `count` bytes. Throws when there are fewer. */
  async *next(count: number): AsyncGenerator<Buffer> {
    for (let left = count; left > 0; ) {
      if (this.#rest.length === 0) await this.#read()
      const chunk = this.#rest.subarray(0, left)
      this.#rest = this.#rest.subarray(chunk.length)
      left -= chunk.length
      yield chunk
    }
  }

  async skip(count: number): Promise<void> {
    for await (const _ of this.next(count));
  }

  /** Ends the connection, too. */
  async close(): Promise<void> {
    await this.#source.return?.()
  }

  async #read(): Promise<void> {
    const { done, value } = await this.#source.next()
    if (done) throw new Error('the connection ended')
    this.#rest = value
  }
}
