import { mkdir, open, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'

/** Where a file is written before it takes its name: what a killed run leaves there, the next one removes. */
export function partialOf(file: string): string {
  return `${file}.partial`
}

/**
 * Writes a file that is there as a whole or not at all, and is on the disk when this returns.
 * @param mode of the file from its first byte on
 */
export async function writeAtomically(file: string, content: string, mode = 0o600): Promise<void> {
  const partial = partialOf(file)
  await rm(partial, { force: true })
  try {
    const handle = await open(partial, 'wx', mode)
    try {
      await handle.writeFile(content)
      await handle.sync()
    } finally {
      await handle.close()
    }
    await rename(partial, file)
    await syncFolder(dirname(file))
  } catch (error) {
    await rm(partial, { force: true })
    throw error
  }
}

/** Removes a file, if it is there, and what a killed run left of it. */
export async function removeDurably(file: string): Promise<void> {
  await rm(partialOf(file), { force: true })
  await rm(file, { force: true })
  await syncFolder(dirname(file))
}

/** Makes a folder for root alone; the ones above it are for everybody to read. */
export async function makePrivateFolder(folder: string): Promise<void> {
  await mkdir(dirname(folder), { recursive: true })
  await mkdir(folder, { mode: 0o700 }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error
  })
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder).catch(() => undefined)
  if (!handle) return
  // Some network file systems have no such thing for folders.
  await handle.sync().catch(() => {})
  await handle.close()
}
