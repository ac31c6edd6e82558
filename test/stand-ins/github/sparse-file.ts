import { createHash } from 'node:crypto'
import { open } from 'node:fs/promises'

const ZEROS = Buffer.alloc(1 << 20)

/**
 * Writes bytes to a file as they come. What is all zeros becomes a hole, so that an image of gigabytes takes little of a
 * test's disk. Answers the size in bytes, and the sha256 in hex.
 */
export async function writeSparse(
  file: string,
  bytes: AsyncIterable<Buffer> | Iterable<Buffer>,
): Promise<{ size: number; sha256: string }> {
  const hash = createHash('sha256')
  const handle = await open(file, 'w')
  let size = 0
  try {
    for await (const chunk of bytes) {
      hash.update(chunk)
      const empty = chunk.length <= ZEROS.length && chunk.equals(ZEROS.subarray(0, chunk.length))
      if (!empty) await handle.write(chunk, 0, chunk.length, size)
      size += chunk.length
    }
    await handle.truncate(size)
  } finally {
    await handle.close()
  }
  return { size, sha256: hash.digest('hex') }
}
