import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { rm, stat } from 'node:fs/promises'
import { execa } from '../process/child-process.ts'
import { SeederError } from '../report/error.ts'

/** The digest of some content, and its size in bytes. */
export interface Digest {
  readonly sha256: string
  readonly size: number
}

/** SHA-256 of a file's bytes, in hex. */
export async function sha256File(file: string): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(file, { highWaterMark: 1024 ** 2 })) hash.update(chunk)
  return hash.digest('hex')
}

export async function fileDigest(path: string): Promise<Digest> {
  return { sha256: await sha256File(path), size: (await stat(path)).size }
}

/**
 * The digest of the disk inside an image, unpacked by qemu-img as an import into Proxmox would.
 * @param scratch a file for the sparse raw disk, which is removed again
 * @throws SeederError when the image is damaged or there is no room
 */
export async function rawDigest(image: string, scratch: string): Promise<Digest> {
  try {
    await execa('qemu-img', ['convert', '-f', 'qcow2', '-O', 'raw', image, scratch])
    return await fileDigest(scratch)
  } catch (cause) {
    const found = cause instanceof Error ? cause.message.split('\n').at(-1) : String(cause)
    throw new SeederError(`could not unpack ${image}: ${found}`, { cause })
  } finally {
    await rm(scratch, { force: true })
  }
}
