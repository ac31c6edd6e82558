import { lstat, open, readdir, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { tryLock } from '../../files/flock.ts'
import { SeederError } from '../../report/error.ts'
import { sha256File } from '../../store/digest.ts'
import type { Contents } from '../format/contents.ts'
import { DownloadJournal } from './download-journal.ts'

/** The paths of a download, beside the folder or file that it becomes. */
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

/** Whether a folder has exactly the files of a release, each with its digest. */
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
 * Requires, before anything is downloaded, that the folder is absent or has only files of an earlier download.
 * @throws SeederError when it has another file
 */
export async function requireOwnFolder(folder: string, contents: Contents): Promise<void> {
  const ours = contents.files.map(({ name }) => name)
  const foreign = (await readdir(folder).catch(() => [])).find((name) => !ours.includes(name))
  if (foreign === undefined) return
  throw new SeederError(`${folder} is the folder of the download, and has another file, ${foreign}`, {
    fix: 'move that folder away, and run it again',
  })
}

/**
 * Runs `work` while no other run works on the same download.
 * @param file the lock, which is never removed: a lock on a removed file locks nothing
 * @throws SeederError when another run has the lock
 */
export async function withDownloadLock<T>(file: string, work: () => Promise<T>): Promise<T> {
  const handle = await open(file, 'a', 0o644)
  try {
    if (await tryLock(handle)) return await work()
  } finally {
    await handle.close()
  }
  throw new SeederError(`Another run of Seeder is at work on this release (${basename(file)} is locked)`, {
    fix: `wait until it ends, or find it: fuser -v '${file}'`,
  })
}

/**
 * Runs a download with the journal of earlier runs of the same content.
 * @param finish verifies what is complete and moves it into place
 */
export async function withJournal(
  { partial, journal: file }: DownloadPlaces,
  contentDigest: string,
  download: (journal: DownloadJournal) => Promise<void>,
  finish: () => Promise<void>,
): Promise<void> {
  const journal = await DownloadJournal.open(file, contentDigest)
  try {
    if (journal.isNew) await rm(partial, { recursive: true, force: true })
    await download(journal)
  } finally {
    await journal.close()
  }
  await finish()
  await rm(file, { force: true })
}

/** Removes a download, complete or not, but not its lock. */
export async function removeDownload({ folder, partial, journal }: DownloadPlaces): Promise<void> {
  for (const path of [folder, partial, journal]) await rm(path, { recursive: true, force: true })
}
