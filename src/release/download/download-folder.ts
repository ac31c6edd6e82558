import { lstat, readdir, rename, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { SeederError } from '../../report/error.ts'
import { sha256File } from '../../store/store.ts'
import type { Contents } from '../format/contents.ts'

/** Where a download is while it is not complete: beside the folder that it becomes. */
export interface DownloadPlaces {
  readonly folder: string
  readonly partial: string
  readonly journal: string
  readonly lock: string
}

export function placesOf(folder: string): DownloadPlaces {
  const beside = join(dirname(folder), `.${basename(folder)}`)
  return { folder, partial: `${beside}.partial`, journal: `${beside}.journal`, lock: `${beside}.lock` }
}

/** Whether a folder has the files of a release and nothing else, each with its digest. */
export async function isComplete(folder: string, contents: Contents): Promise<boolean> {
  const names = await readdir(folder).catch(() => [])
  if (names.length !== contents.files.length) return false
  for (const { name, size } of contents.files) {
    const found = await lstat(join(folder, name)).catch(() => undefined)
    if (!found?.isFile() || found.size !== size) return false
  }
  for (const { name, sha256 } of contents.files) {
    if ((await sha256File(join(folder, name))) !== sha256) return false
  }
  return true
}

/**
 * Makes sure, before anything is downloaded, that a download may take its place: there is nothing, or an earlier one.
 * @throws SeederError when the folder has files of somebody else
 */
export async function requireOwnFolder(folder: string, contents: Contents): Promise<void> {
  const ours = contents.files.map(({ name }) => name)
  const foreign = (await readdir(folder).catch(() => [])).find((name) => !ours.includes(name))
  if (foreign === undefined) return
  throw new SeederError(`${folder} is where the download belongs, and has ${foreign} in it`, {
    fix: 'move that folder away, and run it again',
  })
}

/** Lets a complete download take its place; what an earlier one left there goes. */
export async function putInPlace({ folder, partial }: DownloadPlaces): Promise<void> {
  await rm(folder, { recursive: true, force: true })
  await rename(partial, folder)
}

/** Removes a download, complete or not. Its lock stays: one on a file that is removed locks nothing. */
export async function removeDownload({ folder, partial, journal }: DownloadPlaces): Promise<void> {
  for (const path of [folder, partial, journal]) await rm(path, { recursive: true, force: true })
}
