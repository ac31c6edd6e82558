import { closeSync, openSync, readSync, statSync } from 'node:fs'
import { PveError } from './failure.ts'

export type ImageFormat = 'raw' | 'qcow2' | 'vmdk'

/** What the beginning of a disk's file says about it. */
export interface ImageFile {
  readonly format: ImageFormat
  /** Bytes a VM sees. */
  readonly size: number
  readonly backing: string | undefined
}

/**
 * Reads the beginning of a disk's file. Faster than calling qemu-img.
 * @throws PveError when there is no such file
 */
export function readImageFile(path: string): ImageFile {
  const head = Buffer.alloc(4096)
  let size: number
  try {
    size = statSync(path).size
    const fd = openSync(path, 'r')
    readSync(fd, head)
    closeSync(fd)
  } catch {
    throw new PveError(`failed to stat '${path}'`)
  }
  if (head.readUInt32BE(0) === 0x514649fb) {
    const at = Number(head.readBigUInt64BE(8))
    const length = head.readUInt32BE(16)
    const backing = at === 0 ? undefined : head.subarray(at, at + length).toString()
    return { format: 'qcow2', size: Number(head.readBigUInt64BE(24)), backing }
  }
  if (head.readUInt32LE(0) === 0x564d444b) {
    return { format: 'vmdk', size: Number(head.readBigUInt64LE(12)) * 512, backing: undefined }
  }
  return { format: 'raw', size, backing: undefined }
}

/** The format a file's name stands for. */
export function formatOfName(name: string): ImageFormat | undefined {
  const extension = /\.(raw|qcow2|vmdk)$/.exec(name)?.[1]
  return extension === 'raw' || extension === 'qcow2' || extension === 'vmdk' ? extension : undefined
}
