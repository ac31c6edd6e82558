import { createHash, type Hash } from 'node:crypto'
import type { FileHandle } from 'node:fs/promises'
import type { Readable } from 'node:stream'
import type { Asset, Releases } from '../../github/release.ts'
import { backoff, retry, type Wait } from '../../http/retry.ts'
import { SeederError } from '../../report/error.ts'
import type { Part } from '../format/contents.ts'

/** Maximum attempts in a row that bring no new bytes. */
const ATTEMPTS = 5
/** Milliseconds before the second attempt; twice as long before each further one. */
const PAUSE_MS = 500
/** Maximum bytes that a killed run loses: after that many they are synced to the disk. */
const MARK_BYTES = 16 * 1024 * 1024
const READ_BYTES = 1024 * 1024

/** A part to download, and its place. */
export interface PartJob {
  readonly part: Part
  readonly asset: Asset
  /** The whole file, open for reading and writing. */
  readonly file: FileHandle
  /** Offset of the part in the file. */
  readonly offset: number
  /** Bytes of the part that the file has already. */
  readonly kept: number
}

export interface PartEvents {
  readonly signal: AbortSignal
  /** The number of bytes so far: it decreases when the part starts again. */
  onPosition(bytes: number): void
  /** `bytes` of the part are synced to the disk. */
  onDisk(bytes: number): Promise<void>
  note(text: string): void
}

/** An error of this machine's disk: a further attempt makes no sense. */
class DiskError extends Error {}

/**
 * Downloads a part to its place in a file and verifies its digest. It continues after a broken connection, or starts
 * again when the server does not support Range, and once when the digest is wrong.
 * @throws SeederError when it cannot be downloaded, or is wrong twice; errors of the file system; the signal's reason
 */
export async function fetchPart(releases: Releases, job: PartJob, events: PartEvents): Promise<void> {
  const { part, asset } = job
  const first = await new PartDownload(job, events).complete(releases)
  if (first === part.sha256) return
  events.note(`${asset.name}: its sha256 is ${first}, not ${part.sha256}: it is downloaded again`)
  await events.onDisk(0)
  const second = await new PartDownload({ ...job, kept: 0 }, events).complete(releases)
  if (second === part.sha256) return
  await events.onDisk(0)
  throw new SeederError(
    `${asset.name} was downloaded twice and is wrong: its sha256 is ${second}, the release says ${part.sha256}`,
    { fix: 'try again later; if it stays so, do not use this release: publish a new version of the image' },
  )
}

class PartDownload {
  readonly #job: PartJob
  readonly #events: PartEvents
  #hash: Hash = createHash('sha256')
  #position = 0
  #marked = 0

  constructor(job: PartJob, events: PartEvents) {
    this.#job = job
    this.#events = events
  }

  /** Completes the part in the file. Returns its digest. */
  async complete(releases: Releases): Promise<string> {
    await this.#readKept()
    if (this.#position < this.#job.part.size) await this.#receiveRest(releases)
    await this.#job.file.datasync()
    return this.#hash.digest('hex')
  }

  async #receiveRest(releases: Releases): Promise<void> {
    const { signal } = this.#events
    let furthest = this.#position
    const hasProgressed = () => {
      const more = this.#position > furthest
      furthest = Math.max(furthest, this.#position)
      return more
    }
    const usual = backoff(ATTEMPTS, PAUSE_MS)
    // The client has repeated a request that GitHub refused.
    const isFinal = (error: unknown) => error instanceof DiskError || error instanceof SeederError
    const wait: Wait = (failures, error) => (isFinal(error) ? undefined : usual(failures))
    try {
      await retry(() => this.#receive(releases), { wait, signal, hasProgressed })
    } catch (error) {
      signal.throwIfAborted()
      if (error instanceof DiskError) throw error.cause
      throw error instanceof SeederError ? error : this.#failure(error, furthest)
    }
  }

  /** Adds the bytes of an earlier run to the digest. */
  async #readKept(): Promise<void> {
    const buffer = Buffer.alloc(READ_BYTES)
    const { file, offset, kept } = this.#job
    while (this.#position < kept) {
      const length = Math.min(buffer.length, kept - this.#position)
      const { bytesRead } = await file.read(buffer, 0, length, offset + this.#position)
      if (bytesRead === 0) break
      this.#events.signal.throwIfAborted()
      this.#take(buffer.subarray(0, bytesRead))
    }
    this.#marked = this.#position
  }

  /** Receives one response of the server, as far as it goes. */
  async #receive(releases: Releases): Promise<void> {
    const { asset, part } = this.#job
    const { from, bytes } = await releases.download(asset, this.#position)
    const stop = () => bytes.destroy()
    this.#events.signal.addEventListener('abort', stop)
    try {
      if (from !== 0 && from !== this.#position) {
        throw new Error(`byte ${this.#position} was requested, and the server sent byte ${from}`)
      }
      if (from !== this.#position) this.#startAgain()
      await this.#store(bytes)
      this.#events.signal.throwIfAborted()
      if (this.#position < part.size) throw new Error('the connection ended')
    } finally {
      this.#events.signal.removeEventListener('abort', stop)
      bytes.destroy()
    }
  }

  async #store(bytes: Readable): Promise<void> {
    const { size } = this.#job.part
    for await (const chunk of bytes as AsyncIterable<Buffer>) {
      // What the server sends after the end of the part is ignored.
      const wanted = chunk.subarray(0, size - this.#position)
      await this.#write(wanted)
      this.#take(wanted)
      if (this.#position === size) return
      if (this.#position - this.#marked >= MARK_BYTES) {
        await this.#onDisk()
        this.#marked = this.#position
      }
    }
  }

  #take(chunk: Buffer): void {
    this.#hash.update(chunk)
    this.#position += chunk.length
    this.#events.onPosition(this.#position)
  }

  #startAgain(): void {
    this.#hash = createHash('sha256')
    this.#position = 0
    // The marks stay valid: the same bytes are written again.
    this.#events.onPosition(0)
  }

  async #write(chunk: Buffer): Promise<void> {
    const { file, offset } = this.#job
    for (let done = 0; done < chunk.length; ) {
      const { bytesWritten } = await file
        .write(chunk, done, chunk.length - done, offset + this.#position + done)
        .catch(rethrowDiskError)
      done += bytesWritten
    }
  }

  async #onDisk(): Promise<void> {
    await this.#job.file.datasync().catch(rethrowDiskError)
    await this.#events.onDisk(this.#position).catch(rethrowDiskError)
  }

  #failure(cause: unknown, furthest: number): SeederError {
    const why = cause instanceof Error ? cause.message || String(cause) : String(cause)
    const { asset, part } = this.#job
    return new SeederError(
      `${asset.name} could not be downloaded: ${why}; ${furthest} of ${part.size} bytes came, and ${ATTEMPTS} further attempts brought no more`,
      { fix: 'check the network, and run it again: it continues where it stopped', cause },
    )
  }
}

function rethrowDiskError(cause: unknown): never {
  throw new DiskError('', { cause })
}
