import { createHash, type Hash } from 'node:crypto'
import type { FileHandle } from 'node:fs/promises'
import type { Readable } from 'node:stream'
import type { Asset, Releases } from '../../github/release.ts'
import { backoff, retry, type Wait } from '../../http/retry.ts'
import { SeederError } from '../../report/error.ts'
import type { Part } from '../format/contents.ts'

/** Maximum attempts in a row that bring no more bytes than those before. */
const ATTEMPTS = 5
/** Milliseconds before the second of them; each further one waits twice as long. */
const PAUSE_MS = 500
/** Bytes after which what has come is put on the disk for good, so that a killed run loses no more than that. */
const MARK_BYTES = 16 * 1024 * 1024
const READ_BYTES = 1024 * 1024

/** A part that is to be downloaded, and where to. */
export interface PartJob {
  readonly part: Part
  readonly asset: Asset
  /** The whole file, open for reading and writing. */
  readonly file: FileHandle
  /** Where in it the part begins. */
  readonly offset: number
  /** Bytes of the part that are in it already. */
  readonly kept: number
}

/** What happens while a part is downloaded. */
export interface PartEvents {
  readonly signal: AbortSignal
  /** How many bytes there are now: fewer than before when the part starts again. */
  onPosition(bytes: number): void
  /** `bytes` of the part are on the disk for good. */
  onDisk(bytes: number): Promise<void>
  note(text: string): void
}

/** An error of this machine's disk, which no further attempt mends. */
class DiskError extends Error {}

/**
 * Downloads a part into its place in a file and compares its digest while it comes: goes on where a connection broke
 * off, starts again where the server has no Range, and once more when the digest was wrong.
 * @throws SeederError when the bytes do not come, or are wrong twice; what the file system refused; the signal's reason
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
  #at = 0
  #marked = 0

  constructor(job: PartJob, events: PartEvents) {
    this.#job = job
    this.#events = events
  }

  /** The digest of all of the part's bytes, which are in the file then. */
  async complete(releases: Releases): Promise<string> {
    await this.#readKept()
    if (this.#at < this.#job.part.size) await this.#receiveRest(releases)
    await this.#job.file.datasync()
    return this.#hash.digest('hex')
  }

  async #receiveRest(releases: Releases): Promise<void> {
    const { signal } = this.#events
    let furthest = this.#at
    const hasProgressed = () => {
      const more = this.#at > furthest
      furthest = Math.max(furthest, this.#at)
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

  /** The bytes of an earlier run count in the digest, as if they had just come. */
  async #readKept(): Promise<void> {
    const buffer = Buffer.alloc(READ_BYTES)
    const { file, offset, kept } = this.#job
    while (this.#at < kept) {
      const length = Math.min(buffer.length, kept - this.#at)
      const { bytesRead } = await file.read(buffer, 0, length, offset + this.#at)
      if (bytesRead === 0) break
      this.#events.signal.throwIfAborted()
      this.#take(buffer.subarray(0, bytesRead))
    }
    this.#marked = this.#at
  }

  /** One answer of the server, to its end or as far as it goes. */
  async #receive(releases: Releases): Promise<void> {
    const { asset, part } = this.#job
    const { from, bytes } = await releases.download(asset, this.#at)
    const stop = () => bytes.destroy()
    this.#events.signal.addEventListener('abort', stop)
    try {
      if (from !== 0 && from !== this.#at) {
        throw new Error(`byte ${this.#at} was requested, and ${from} came`)
      }
      if (from !== this.#at) this.#startAgain()
      await this.#store(bytes)
      this.#events.signal.throwIfAborted()
      if (this.#at < part.size) throw new Error('the connection ended')
    } finally {
      this.#events.signal.removeEventListener('abort', stop)
      bytes.destroy()
    }
  }

  async #store(bytes: Readable): Promise<void> {
    const { size } = this.#job.part
    for await (const chunk of bytes as AsyncIterable<Buffer>) {
      // Whatever comes after the part's end is not of it, and is not waited for.
      const wanted = chunk.subarray(0, size - this.#at)
      await this.#write(wanted)
      this.#take(wanted)
      if (this.#at === size) return
      if (this.#at - this.#marked >= MARK_BYTES) {
        await this.#onDisk()
        this.#marked = this.#at
      }
    }
  }

  #take(chunk: Buffer): void {
    this.#hash.update(chunk)
    this.#at += chunk.length
    this.#events.onPosition(this.#at)
  }

  #startAgain(): void {
    this.#hash = createHash('sha256')
    this.#at = 0
    // What an earlier mark says is on the disk still is; it is written over with the same bytes.
    this.#events.onPosition(0)
  }

  async #write(chunk: Buffer): Promise<void> {
    const { file, offset } = this.#job
    for (let done = 0; done < chunk.length; ) {
      const { bytesWritten } = await file
        .write(chunk, done, chunk.length - done, offset + this.#at + done)
        .catch(rethrowDiskError)
      done += bytesWritten
    }
  }

  async #onDisk(): Promise<void> {
    await this.#job.file.datasync().catch(rethrowDiskError)
    await this.#events.onDisk(this.#at).catch(rethrowDiskError)
  }

  #failure(cause: unknown, furthest: number): SeederError {
    const why = cause instanceof Error ? cause.message || String(cause) : String(cause)
    const { asset, part } = this.#job
    return new SeederError(
      `${asset.name} could not be downloaded: ${why}; ${furthest} of ${part.size} bytes came, and then ${ATTEMPTS} attempts brought no more`,
      { fix: 'see whether the network is well, and run it again: it goes on where it stopped', cause },
    )
  }
}

function rethrowDiskError(cause: unknown): never {
  throw new DiskError('', { cause })
}
