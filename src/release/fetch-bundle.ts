import { mkdir, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { BundleList } from '../bundle/index.ts'
import { unpackBundle } from '../bundle/open.ts'
import { workIn } from '../disk-error.ts'
import type { Release, Releases } from '../github/release.ts'
import { SeederError } from '../report/error.ts'
import type { Progress } from '../report/progress.ts'
import { makeRunFolder } from '../run-folder.ts'
import { requireAgreement } from './agreement.ts'
import type { ReleaseFile } from './contents.ts'
import { readContents } from './contents-asset.ts'
import { placesOf } from './download-folder.ts'
import { DownloadJournal } from './download-journal.ts'
import { fetchFile } from './fetch-file.ts'
import { withDownloadLock } from './folder-lock.ts'
import { requireRoomFor } from './room.ts'
import { readSignedList } from './signed-list.ts'
import type { Trust } from './signed-sums.ts'

/** How a bundle is downloaded. */
export interface FetchBundleOptions {
  readonly trust: Trust
  /** Seeder's cache folder: the bundle is unpacked below it to verify it. */
  readonly cache: string
  readonly progress: Progress
  readonly signal: AbortSignal
}

/**
 * Downloads the bundle of a release to `out`, whole and verified or not at all: its list is the signed one, and every file
 * has the digest in it. What a killed run has downloaded is kept beside `out`, and the next run continues there.
 * @throws SeederError when the list is not signed by whom it should be, the release has no bundle, or it is not right
 */
export async function fetchBundle(
  releases: Releases,
  release: Release,
  out: string,
  { trust, cache, progress, signal }: FetchBundleOptions,
): Promise<BundleList> {
  progress.phase(`read the list of ${release.tag}`)
  const list = await readSignedList(releases, release, trust, signal)
  const file = await bundleFileOf(releases, release, signal)
  progress.phase('download the bundle')
  const { partial, journal: journalFile, lock } = placesOf(out)
  return workIn(dirname(out), () =>
    withDownloadLock(lock, async () => {
      const journal = await DownloadJournal.open(journalFile, file.sha256)
      try {
        if (journal.isNew) await rm(partial, { force: true })
        await requireRoomFor(dirname(out), partial, file)
        const source = { releases, release, journal }
        await fetchFile(source, file, partial, { progress, signal, announce: true })
      } finally {
        await journal.close()
      }
      progress.phase('verify it')
      await verifyBundle(partial, list, release, cache).catch(async (error: unknown) => {
        // It is what the release has: another download brings the same.
        await Promise.all([partial, journalFile].map((path) => rm(path, { force: true })))
        throw error
      })
      await rename(partial, out)
      await rm(journalFile, { force: true })
      return list
    }),
  )
}

async function bundleFileOf(releases: Releases, release: Release, signal: AbortSignal): Promise<ReleaseFile> {
  const contents = await readContents(releases, release, signal)
  if (contents) requireAgreement(contents, release)
  if (contents?.bundleFile) return contents.bundleFile
  throw new SeederError(`${release.tag} was published without its bundle`, {
    fix: 'build the image at its commit, with a snapshot that still has the packages (SEEDER_SNAPSHOT_…), and give that folder: seeder bundle DIR',
  })
}

/**
 * Verifies a downloaded bundle against the signed list of its release.
 * @throws SeederError with the first thing that is wrong
 */
export async function verifyBundle(
  file: string,
  list: BundleList,
  { tag }: Release,
  cache: string,
): Promise<void> {
  const scratch = await makeRunFolder(join(cache, 'work'))
  try {
    const unpacked = join(scratch, 'bundle')
    await mkdir(unpacked)
    const { text } = await workIn(scratch, () => unpackBundle(file, unpacked))
    if (text.equals(list.text)) return
    throw new SeederError(`the bundle of ${tag} is not the one that its signed list describes`, {
      fix: 'do not use it: publish a new version of the image',
    })
  } finally {
    await rm(scratch, { recursive: true, force: true })
  }
}
