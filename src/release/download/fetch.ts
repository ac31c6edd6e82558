import { createHash } from 'node:crypto'
import { mkdir, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { qcow2Name } from '../../build/manifest.ts'
import { SUMS_FILE } from '../../build/sums.ts'
import { workIn } from '../../files/disk-error.ts'
import { readText } from '../../files/text-file.ts'
import type { Release, Releases } from '../../github/release.ts'
import { SeederError, StoppedError } from '../../report/error.ts'
import type { Progress } from '../../report/progress.ts'
import { requireAgreement, requireSums } from '../format/agreement.ts'
import { CONTENTS_FILE, type Contents, type ReleaseFile } from '../format/contents.ts'
import { readContents } from '../format/contents-asset.ts'
import { requireRoom } from './disk-space.ts'
import { type DownloadPlaces, isComplete, placesOf, putInPlace, requireOwnFolder } from './download-folder.ts'
import { DownloadJournal } from './download-journal.ts'
import { fetchFile } from './fetch-file.ts'
import { withDownloadLock } from './folder-lock.ts'

/** How a release is fetched. */
export interface FetchOptions {
  readonly progress: Pick<Progress, 'note' | 'bytes'>
  readonly signal: AbortSignal
  /**
   * Looks at the small files in a folder when they are there and before the disk is downloaded. What it throws ends the
   * download.
   */
  readonly inspect?: (folder: string, contents: Contents) => Promise<void>
}

/**
 * Brings a release into `folder`, as `seeder build --out` left it and with the report and the signature: downloads what
 * is missing, goes on where a killed run stopped, verifies each part and each whole file. The folder is there when all
 * of it is; until then everything is in hidden files beside it.
 * @param use is called with the complete folder, which no other run touches before it has ended
 * @throws SeederError when the release contradicts itself, does not come, comes wrong twice, or has no room; when
 * another run is at work on the folder
 */
export async function fetchRelease<T>(
  releases: Releases,
  release: Release,
  folder: string,
  options: FetchOptions,
  use: (contents: Contents) => Promise<T>,
): Promise<T> {
  const places = placesOf(folder)
  await workIn(dirname(folder), () => mkdir(dirname(folder), { recursive: true }))
  return withDownloadLock(places.lock, async () => {
    const contents = await readContents(releases, release, options.signal)
    if (!contents) {
      throw new SeederError(`the release ${release.tag} has no ${CONTENTS_FILE}`, {
        fix: 'only what `seeder publish` has published can be taken: publish the image',
      })
    }
    requireAgreement(contents, release)
    if (await isComplete(folder, contents)) {
      options.progress.note(`${release.tag} has been downloaded already`)
      await rm(places.journal, { force: true })
      await inspectSmallFiles(folder, contents, options)
    } else {
      const fetch = new Fetch(releases, release, contents, places, options)
      await workIn(dirname(folder), () => fetch.run()).catch((error: unknown) => {
        if (!options.signal.aborted) throw error
        throw new StoppedError('stopped; what was downloaded is kept, and the next run goes on from there')
      })
    }
    return use(contents)
  })
}

/** What belongs together before anything large is downloaded. */
async function inspectSmallFiles(
  folder: string,
  contents: Contents,
  { inspect }: FetchOptions,
): Promise<void> {
  requireSums(await readText(join(folder, SUMS_FILE)), contents)
  await inspect?.(folder, contents)
}

class Fetch {
  readonly #releases: Releases
  readonly #release: Release
  readonly #contents: Contents
  readonly #places: DownloadPlaces
  readonly #options: FetchOptions

  constructor(
    releases: Releases,
    release: Release,
    contents: Contents,
    places: DownloadPlaces,
    options: FetchOptions,
  ) {
    this.#releases = releases
    this.#release = release
    this.#contents = contents
    this.#places = places
    this.#options = options
  }

  async run(): Promise<void> {
    const { partial, journal: journalFile } = this.#places
    await requireOwnFolder(this.#places.folder, this.#contents)
    const journal = await DownloadJournal.open(journalFile, contentsDigest(this.#contents))
    try {
      if (journal.isNew) await rm(partial, { recursive: true, force: true })
      await mkdir(partial, { recursive: true })
      await requireRoom(partial, this.#contents)
      const disk = qcow2Name(this.#contents)
      const small = this.#contents.files.filter(({ name }) => name !== disk)
      const from = { releases: this.#releases, release: this.#release, journal }
      const fetch = (file: ReleaseFile, announce: boolean) =>
        fetchFile(from, file, join(partial, file.name), { ...this.#options, announce })
      for (const file of small) await fetch(file, false)
      await inspectSmallFiles(partial, this.#contents, this.#options)
      for (const file of this.#contents.files.filter(({ name }) => name === disk)) await fetch(file, true)
      await putInPlace(this.#places)
    } finally {
      await journal.close()
    }
    await rm(journalFile, { force: true })
  }
}

/** What a download is of: with other contents nothing of it counts. */
function contentsDigest(contents: Contents): string {
  return createHash('sha256').update(JSON.stringify(contents)).digest('hex')
}
