import { createHash } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { mkdir, rename, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { Readable, Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'

/**
 * Content-addressed files: each is named by the sha256 of its bytes. A file appears only complete (written elsewhere,
 * then renamed), so any number of builds may share a store and a killed one leaves nothing another would trust.
 */
export class Store {
  readonly folder: string
  readonly #scratch: string

  /** `scratch` is where files are while they are written; it must be on the store's file system. */
  constructor(folder: string, scratch: string) {
    this.folder = folder
    this.#scratch = scratch
  }

  /** Where the file with this digest is, or would be. */
  path(sha256: string): string {
    return join(this.folder, sha256.slice(0, 2), sha256)
  }

  /** Whether a file of this digest and size (bytes) is there. Its content is checked by `verify`. */
  async has(sha256: string, size: number): Promise<boolean> {
    const found = await stat(this.path(sha256)).catch(() => undefined)
    return found?.size === size
  }

  /** Whether the stored bytes still have their digest. */
  async verify(sha256: string): Promise<boolean> {
    return (await sha256File(this.path(sha256))) === sha256
  }

  async remove(sha256: string): Promise<void> {
    await rm(this.path(sha256), { force: true })
  }

  /**
   * Stores a stream if it has the digest and size (bytes) it should have; `onBytes` hears of every chunk.
   * Returns what was found instead when it has not, and keeps nothing of it.
   */
  async add(
    content: AsyncIterable<Uint8Array>,
    expected: { sha256: string; size: number },
    onBytes: (count: number) => void = () => {},
  ): Promise<{ stored: true } | { stored: false; sha256: string; size: number }> {
    const target = this.path(expected.sha256)
    const partial = join(this.#scratch, `${expected.sha256}.${Math.random().toString(36).slice(2)}.partial`)
    await mkdir(dirname(target), { recursive: true })
    const hash = createHash('sha256')
    let size = 0
    const measure = new Transform({
      transform(chunk: Buffer, _encoding, next) {
        hash.update(chunk)
        size += chunk.length
        onBytes(chunk.length)
        // A body that is already too long cannot become right: do not let it fill the disk.
        next(size > expected.size ? new TooLong() : null, chunk)
      },
    })
    try {
      await pipeline(Readable.from(content), measure, createWriteStream(partial))
      const found = { sha256: hash.digest('hex'), size }
      if (found.sha256 !== expected.sha256 || found.size !== expected.size) return { stored: false, ...found }
      await rename(partial, target)
      return { stored: true }
    } catch (error) {
      if (error instanceof TooLong) return { stored: false, sha256: 'of something longer', size }
      throw error
    } finally {
      await rm(partial, { force: true })
    }
  }
}

class TooLong extends Error {}

/** SHA-256 of a file's bytes, in hex. */
export async function sha256File(file: string): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(file, { highWaterMark: 1 << 20 })) hash.update(chunk)
  return hash.digest('hex')
}
