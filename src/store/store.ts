import { createHash } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { mkdir, rename, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { Readable, Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { sha256File } from './digest.ts'

/**
 * Content-addressed files, each named by the sha256 of its bytes. A file is written elsewhere and then renamed, so builds can
 * share a store, and a killed build leaves no incomplete file in it.
 */
export class Store {
  readonly folder: string
  readonly #scratch: string

  /** @param scratch the folder for incomplete files, on the file system of the store */
  constructor(folder: string, scratch: string) {
    this.folder = folder
    this.#scratch = scratch
  }

  /** The path of the file with this digest, whether it exists or not. */
  path(sha256: string): string {
    return join(this.folder, sha256.slice(0, 2), sha256)
  }

  /** Whether a file with this name and size (bytes) exists. `verify` checks its content. */
  async has(sha256: string, size: number): Promise<boolean> {
    const found = await stat(this.path(sha256)).catch(() => undefined)
    return found?.size === size
  }

  /** Whether the stored file still has its digest. */
  async verify(sha256: string): Promise<boolean> {
    return (await sha256File(this.path(sha256))) === sha256
  }

  async remove(sha256: string): Promise<void> {
    await rm(this.path(sha256), { force: true })
  }

  /**
   * Stores a stream if it has the expected digest and size (bytes). `onBytes` is called for every chunk.
   * @returns the digest and size of the stream when they differ; it is not stored then
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
        // Stop at once when it is too long: it must not fill the disk.
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
