import { stat, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { SeederError } from '../../report/error.ts'
import { formatBytes } from '../../report/table.ts'
import type { Contents, ReleaseFile } from '../format/contents.ts'

/** Bytes for the folders, the journal, and what a file system needs for itself. */
const MARGIN = 16 * 1024 * 1024

/**
 * Makes sure that a file system has room for a download, of which a part may be there.
 * @param folder where its files are or will be; it exists
 * @throws SeederError when it has not
 */
export async function requireRoom(folder: string, { files }: Contents): Promise<void> {
  await requireBytes(
    folder,
    files.map(({ name, size }) => ({ path: join(folder, name), size })),
  )
}

/** The same for one file, which is at `path` as far as it is there. */
export async function requireRoomFor(folder: string, path: string, { size }: ReleaseFile): Promise<void> {
  await requireBytes(folder, [{ path, size }])
}

async function requireBytes(
  folder: string,
  files: readonly { readonly path: string; readonly size: number }[],
): Promise<void> {
  const allocated = await Promise.all(
    files.map(async ({ path }) => {
      const found = await stat(path).catch(() => undefined)
      // Of a file with holes only this much is on the disk; 512 is the unit of `blocks`, whatever the file system.
      return (found?.blocks ?? 0) * 512
    }),
  )
  const { bavail, bsize } = await statfs(folder)
  const problem = missingRoom(
    files.map(({ size }) => size),
    allocated,
    bavail * bsize,
  )
  if (problem === undefined) return
  throw new SeederError(`${folder} ${problem}`, {
    fix: 'make room, or set XDG_CACHE_HOME to a folder on another disk; what is there already is kept',
  })
}

/** Why there is not enough room, in words; undefined when there is. All in bytes. */
export function missingRoom(
  sizes: readonly number[],
  allocated: readonly number[],
  free: number,
): string | undefined {
  const needed = sizes.reduce((sum, size, index) => sum + Math.max(0, size - (allocated[index] ?? 0)), 0)
  if (needed + MARGIN <= free) return undefined
  return `needs ${formatBytes(needed + MARGIN)} more for the download; ${formatBytes(free)} are free`
}
