import { createHash } from 'node:crypto'
import { constants } from 'node:fs'
import { type FileHandle, mkdir, open, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import pMap from 'p-map'
import { qcow2Name } from '../build/manifest.ts'
import { sha256File } from '../build/store.ts'
import { workIn } from '../disk-error.ts'
import type { Asset, Release, Releases } from '../github/release.ts'
import { SeederError, StoppedError } from '../report/error.ts'
import type { Progress } from '../report/progress.ts'
import { formatBytes } from '../report/table.ts'
import { readText } from '../text-file.ts'
import { requireAgreement } from './agreement.ts'
import { CONTENTS_FILE, type Contents, type Part, type ReleaseFile } from './contents.ts'
import { readContents } from './contents-asset.ts'
import { type DownloadPlaces, isComplete, placesOf, putInPlace, requireOwnFolder } from './download-folder.ts'
import { DownloadJournal } from './download-journal.ts'
import { withDownloadLock } from './folder-lock.ts'
import { fetchPart } from './part.ts'
import { requireRoom } from './room.ts'
import { requireSums, SUMS_FILE } from './sums.ts'

/** So many parts of a file come at once. */
const CONNECTIONS = 4

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
  /** Bytes that are there, by part. */
  readonly #positions = new Map<string, number>()
  #shown = 0

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
      for (const file of small) await this.#fetchFile(file, journal)
      await inspectSmallFiles(partial, this.#contents, this.#options)
      for (const file of this.#contents.files.filter(({ name }) => name === disk)) {
        await this.#fetchFile(file, journal, () => this.#announce(file, journal))
      }
      await putInPlace(this.#places)
    } finally {
      await journal.close()
    }
    await rm(journalFile, { force: true })
  }

  #announce({ name, size, parts }: ReleaseFile, journal: DownloadJournal): void {
    const there = parts.reduce((sum, part) => {
      const { bytes, done } = journal.of(part)
      return sum + (done ? part.size : bytes)
    }, 0)
    const kept = there === 0 ? '' : `, ${formatBytes(there)} of it are there already`
    this.#options.progress.note(`downloading ${name}, ${formatBytes(size)}${kept}`)
  }

  /** One file, its parts at their places in it from the beginning. `begin` is called when it is known what is there. */
  async #fetchFile(file: ReleaseFile, journal: DownloadJournal, begin = () => {}): Promise<void> {
    const path = join(this.#places.partial, file.name)
    const handle = await open(path, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o644)
    try {
      if ((await handle.stat()).size !== file.size) {
        // It is not what the journal speaks of. The marks go first: a run that is killed in between must not leave a
        // file of the right size, with nothing in it, and marks that say that it is done.
        await forget(file, journal)
        await handle.truncate(file.size)
      }
      begin()
      const isNew = await this.#fetchParts(file, handle, journal)
      // The digest of a single part is the file's, and has just been computed.
      if (isNew && file.parts.length === 1) return
    } finally {
      await handle.close()
    }
    await this.#verifyWhole(file, path, journal)
  }

  /** Whether all of it came in this run. */
  async #fetchParts(file: ReleaseFile, handle: FileHandle, journal: DownloadJournal): Promise<boolean> {
    const stop = new AbortController()
    const signal = AbortSignal.any([stop.signal, this.#options.signal])
    const failures: unknown[] = []
    let isNew = true
    const fetchOne = async ({ part, offset }: { part: Part; offset: number }) => {
      const { bytes, done } = journal.of(part)
      if (done || bytes > 0) isNew = false
      if (done) return this.#show(file, part, part.size)
      signal.throwIfAborted()
      const job = { part, offset, asset: this.#assetOf(part), file: handle, kept: Math.min(bytes, part.size) }
      await fetchPart(this.#releases, job, {
        signal,
        onPosition: (position) => this.#show(file, part, position),
        onDisk: (position) => journal.mark(part, { bytes: position, done: false }),
        note: (text) => this.#options.progress.note(text),
      })
      await journal.mark(part, { bytes: 0, done: true })
    }
    await pMap(
      partsWithOffsets(file),
      // The first failure ends the others, and they are waited for: nobody writes into a closed file.
      (place) =>
        fetchOne(place).catch((error: unknown) => {
          failures.push(error)
          stop.abort()
        }),
      { concurrency: CONNECTIONS },
    )
    if (failures.length > 0) throw failures[0]
    return isNew
  }

  async #verifyWhole(file: ReleaseFile, path: string, journal: DownloadJournal) {
    const { name, sha256 } = file
    const found = await sha256File(path)
    if (found === sha256) return
    // All parts were right once, so the disk has changed or the release is wrong: nothing of the file counts.
    await forget(file, journal)
    throw new SeederError(
      `${name} is complete and wrong: its sha256 is ${found}, the release says ${sha256}`,
      {
        fix: 'run it again, which downloads it anew; if it stays so, do not use this release',
      },
    )
  }

  #assetOf(part: Part): Asset {
    const asset = this.#release.assets.find(({ name }) => name === part.name)
    if (!asset) throw new SeederError(`the release ${this.#release.tag} has no asset ${part.name}`)
    return asset
  }

  /** Tells how far it has come, not more often than a person can see. */
  #show(file: ReleaseFile, part: Part, position: number): void {
    this.#positions.set(part.name, position)
    const done = file.parts.reduce((sum, { name }) => sum + (this.#positions.get(name) ?? 0), 0)
    if (Math.abs(done - this.#shown) < 1_000_000 && done !== file.size) return
    this.#shown = done
    this.#options.progress.bytes('downloading', done, file.size)
  }
}

/** Marks all of a file as not there, on the disk for good when it returns. */
async function forget({ parts }: ReleaseFile, journal: DownloadJournal): Promise<void> {
  for (const part of parts) {
    const { bytes, done } = journal.of(part)
    if (done || bytes > 0) await journal.mark(part, { bytes: 0, done: false })
  }
}

/** What a download is of: with other contents nothing of it counts. */
function contentsDigest(contents: Contents): string {
  return createHash('sha256').update(JSON.stringify(contents)).digest('hex')
}

function partsWithOffsets({ parts }: ReleaseFile): { part: Part; offset: number }[] {
  let offset = 0
  return parts.map((part) => {
    const place = { part, offset }
    offset += part.size
    return place
  })
}
