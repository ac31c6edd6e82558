import { SeederError } from '../report/error.ts'

const reasons: Readonly<Record<string, string>> = {
  ENOSPC: 'no space is left on the disk',
  EDQUOT: 'the disk quota is used up',
  EROFS: 'the file system is read-only',
  EACCES: 'this user may not',
  EPERM: 'this user may not',
  EIO: 'the disk has a fault',
  ENOTDIR: 'a part of the path is a file',
  ELOOP: 'there is a link in the place of a file',
}

/**
 * Runs work that replaces files in a folder atomically.
 * @throws SeederError with the reason when the file system refuses it
 */
export async function workIn<T>(folder: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? String(cause.code) : ''
    const reason = reasons[code]
    if (reason === undefined) throw cause
    throw new SeederError(`could not work in ${folder}: ${reason} (${code})`, {
      fix: 'nothing that was there is lost: fix that, and run this again',
      cause,
    })
  }
}
