import { createHash } from 'node:crypto'
import { mkdir, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { qcow2Name } from '../../build/manifest.ts'
import { SUMS_FILE } from '../../build/sums.ts'
import { workIn } from '../../files/disk-error.ts'
import { readText } from '../../files/text-file.ts'
import type { Release, Releases } from '../../github/release.ts'
import { SeederError, StoppedError } from '../../report/error.ts'
import type { Progress } from '../../report/progress.ts'
import { requireAgreement, requireSums } from '../format/agreement.ts'
import { CONTENTS_FILE, type Contents, type ReleaseFile, readContents } from '../format/contents.ts'
import { requireDiskSpace } from './disk-space.ts'
import {
  type DownloadPlaces,
  isComplete,
  placesOf,
  requireOwnFolder,
  withDownloadLock,
  withJournal,
} from './download-folder.ts'
import { fetchFile } from './fetch-file.ts'

export interface FetchOptions {
  readonly progress: Pick<Progress, 'note' | 'bytes'>
  readonly signal: AbortSignal
  /** Inspects the folder with the small files before the disk is downloaded. An error ends the download. */
  readonly inspect?: (folder: string, contents: Contents) => Promise<void>
}

/**
 * Downloads a release into `folder`: the files of `seeder build --out`, the test report and the signature. It continues
 * where an earlier run ended, and verifies each part and each file. Until all are complete they are in hidden files
 * beside the folder.
 * @param use is called with the complete folder, which is locked until it returns
 * @throws SeederError when the release contradicts itself, cannot be downloaded, is wrong twice, or the disk is full;
 * when another run works on the folder
 */
export async function fetchRelease<T>(
  source: { readonly releases: Releases; readonly release: Release },
  folder: string,
  options: FetchOptions,
  use: (contents: Contents) => Promise<T>,
): Promise<T> {
  const { releases, release } = source
  const places = placesOf(folder)
  await workIn(dirname(folder), () => mkdir(dirname(folder), { recursive: true }))
  return withDownloadLock(places.lock, async () => {
    const contents = await readContents(releases, release, options.signal)
    if (!contents) {
      throw new SeederError(`the release ${release.tag} has no ${CONTENTS_FILE}`, {
        fix: 'publish the image with `seeder publish`: no other release can be downloaded',
      })
    }
    requireAgreement(contents, release)
    if (await isComplete(folder, contents)) {
      options.progress.note(`${release.tag} has been downloaded already`)
      await rm(places.journal, { force: true })
      await inspectSmallFiles(folder, contents, options)
    } else {
      const fetch = () => fetchMissing({ ...source, contents }, places, options)
      await workIn(dirname(folder), fetch).catch((error: unknown) => {
        if (!options.signal.aborted) throw error
        throw new StoppedError('stopped; the next run continues with what was downloaded')
      })
    }
    return use(contents)
  })
}

async function inspectSmallFiles(
  folder: string,
  contents: Contents,
  { inspect }: FetchOptions,
): Promise<void> {
  requireSums(await readText(join(folder, SUMS_FILE)), contents)
  await inspect?.(folder, contents)
}

async function fetchMissing(
  { contents, ...from }: { releases: Releases; release: Release; contents: Contents },
  places: DownloadPlaces,
  options: FetchOptions,
): Promise<void> {
  const { folder, partial } = places
  const disk = qcow2Name(contents)
  await requireOwnFolder(folder, contents)
  await withJournal(
    places,
    digestOf(contents),
    async (journal) => {
      await mkdir(partial, { recursive: true })
      await requireDiskSpace(
        partial,
        contents.files.map(({ name, size }) => ({ path: join(partial, name), size })),
      )
      const fetch = (file: ReleaseFile, announce: boolean) =>
        fetchFile({ ...from, journal }, file, join(partial, file.name), { ...options, announce })
      for (const file of contents.files.filter(({ name }) => name !== disk)) await fetch(file, false)
      await inspectSmallFiles(partial, contents, options)
      for (const file of contents.files.filter(({ name }) => name === disk)) await fetch(file, true)
    },
    async () => {
      await rm(folder, { recursive: true, force: true })
      await rename(partial, folder)
    },
  )
}

/** With other contents, nothing of an earlier download is used. */
function digestOf(contents: Contents): string {
  return createHash('sha256').update(JSON.stringify(contents)).digest('hex')
}
