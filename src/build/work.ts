import { mkdir, rm, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { makeRunFolder } from '../files/run-folder.ts'
import { SeederError } from '../report/error.ts'
import { formatBytes } from '../report/table.ts'
import { removeTrees } from './namespace.ts'

/** What the largest build here needs at once: the tree, its tar, the file systems, the raw disk and the qcow2. */
const NEEDED_BYTES = 2.5e9

/**
 * The part of a work folder that the steps of a build may write to, their /scratch. What packages bring can put anything
 * there: only steps, and readers of the plain files directly in it, may follow a path through it.
 */
export function insideOf(folder: string): string {
  return join(folder, 'inside')
}

/** A folder for one build, below `parent`, removed when `work` ends, however it ends; see `makeRunFolder`. */
export async function withWorkFolder<T>(parent: string, work: (folder: string) => Promise<T>): Promise<T> {
  const folder = await makeRunFolder(parent, removeTrees)
  try {
    // After the cleaning, which may be what makes the space.
    await requireSpace(parent)
    await mkdir(insideOf(folder))
  } catch (error) {
    await rm(folder, { recursive: true })
    throw error
  }
  try {
    return await work(folder)
  } finally {
    await removeTrees([folder])
  }
}

async function requireSpace(folder: string): Promise<void> {
  const { bavail, bsize } = await statfs(folder)
  const free = bavail * bsize
  if (free >= NEEDED_BYTES) return
  throw new SeederError(
    `A build needs ${formatBytes(NEEDED_BYTES)} in ${folder}, and there are ${formatBytes(free)} free`,
    { fix: 'free some space, or put the cache elsewhere with XDG_CACHE_HOME' },
  )
}
