import { mkdir, open, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'

/** The path of a file while it is written: the next run removes what a killed run left there. */
export function partialOf(file: string): string {
  return `${file}.partial`
}

/**
 * Writes a file completely or not at all; it is on the disk when this returns.
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

/** Removes a file if it exists, and what a killed run left of it. */
export async function removeDurably(file: string): Promise<void> {
  await rm(partialOf(file), { force: true })
  await rm(file, { force: true })
  await syncFolder(dirname(file))
}

/** Creates a folder for root only; everybody may read its parents. */
export async function makePrivateFolder(folder: string): Promise<void> {
  await mkdir(dirname(folder), { recursive: true })
  await mkdir(folder, { mode: 0o700 }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error
  })
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder).catch(() => undefined)
  if (!handle) return
  // Some network file systems cannot sync folders.
  await handle.sync().catch(() => {})
  await handle.close()
}
