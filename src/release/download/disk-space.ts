import { stat, statfs } from 'node:fs/promises'
import { SeederError } from '../../report/error.ts'
import { formatBytes } from '../../report/table.ts'

/** Bytes for the folders, the journal, and the file system itself. */
const MARGIN = 16 * 1024 * 1024

/** A file of a download, of which `path` may have a part. */
interface Download {
  readonly path: string
  readonly size: number
}

/**
 * Requires enough free disk space for a download.
 * @param folder an existing one on the file system
 * @throws SeederError without enough space
 */
export async function requireDiskSpace(folder: string, files: readonly Download[]): Promise<void> {
  const allocated = await Promise.all(
    files.map(async ({ path }) => {
      const found = await stat(path).catch(() => undefined)
      // A file may have holes. `blocks` counts units of 512 bytes on any file system.
      return (found?.blocks ?? 0) * 512
    }),
  )
  const { bavail, bsize } = await statfs(folder)
  const problem = missingDiskSpace(
    files.map(({ size }) => size),
    allocated,
    bavail * bsize,
  )
  if (problem === undefined) return
  throw new SeederError(`${folder} ${problem}`, {
    fix: 'free disk space, or set XDG_CACHE_HOME to a folder on another disk; what was downloaded is kept',
  })
}

/** The problem as text; undefined with enough space. All in bytes. */
export function missingDiskSpace(
  sizes: readonly number[],
  allocated: readonly number[],
  free: number,
): string | undefined {
  const needed = sizes.reduce((sum, size, index) => sum + Math.max(0, size - (allocated[index] ?? 0)), 0)
  if (needed + MARGIN <= free) return undefined
  return `needs ${formatBytes(needed + MARGIN)} more for the download; ${formatBytes(free)} are free`
}
