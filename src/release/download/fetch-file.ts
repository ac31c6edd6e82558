import { constants } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import pMap from 'p-map'
import type { Asset, Release, Releases } from '../../github/release.ts'
import { SeederError } from '../../report/error.ts'
import type { Progress } from '../../report/progress.ts'
import { formatBytes } from '../../report/table.ts'
import { sha256File } from '../../store/digest.ts'
import type { Part, ReleaseFile } from '../format/contents.ts'
import type { DownloadJournal } from './download-journal.ts'
import { fetchPart } from './part.ts'

/** Maximum parallel downloads of parts. */
const CONNECTIONS = 4

/** The release of a file, and the journal of the download. */
export interface FileSource {
  readonly releases: Releases
  readonly release: Release
  readonly journal: DownloadJournal
}

export interface FileOptions {
  readonly progress: Pick<Progress, 'note' | 'bytes'>
  readonly signal: AbortSignal
  /** Whether to report the size of the file, and of what earlier runs have downloaded. */
  readonly announce: boolean
}

/**
 * Downloads a file of a release to `path`, several parts in parallel, and verifies each part and the whole. It
 * continues where an earlier run with the same journal ended.
 * @throws SeederError when a part cannot be downloaded, or is wrong twice; the signal's reason
 */
export async function fetchFile(
  source: FileSource,
  file: ReleaseFile,
  path: string,
  options: FileOptions,
): Promise<void> {
  const { journal } = source
  const handle = await open(path, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o644)
  try {
    if ((await handle.stat()).size !== file.size) {
      // The journal is about another file. First its marks are removed: a run that is killed in between must not leave
      // an empty file of the right size with marks that it is done.
      await forget(file, journal)
      await handle.truncate(file.size)
    }
    if (options.announce) announce(file, journal, options)
    const isNew = await fetchParts(source, file, handle, options)
    // The digest of the only part is that of the file.
    if (isNew && file.parts.length === 1) return
  } finally {
    await handle.close()
  }
  await verifyWhole(file, path, journal)
}

function announce(
  { name, size, parts }: ReleaseFile,
  journal: DownloadJournal,
  { progress }: FileOptions,
): void {
  const there = parts.reduce((sum, part) => {
    const { bytes, done } = journal.of(part)
    return sum + (done ? part.size : bytes)
  }, 0)
  const kept = there === 0 ? '' : `, of which ${formatBytes(there)} are downloaded already`
  progress.note(`downloading ${name}, ${formatBytes(size)}${kept}`)
}

/** Downloads the missing parts. Returns whether earlier runs had downloaded nothing. */
async function fetchParts(
  { releases, release, journal }: FileSource,
  file: ReleaseFile,
  handle: FileHandle,
  { progress, signal: given }: FileOptions,
): Promise<boolean> {
  const stop = new AbortController()
  const signal = AbortSignal.any([stop.signal, given])
  const failures: unknown[] = []
  const show = shownBytes(file, progress)
  let isNew = true
  const fetchOne = async ({ part, offset }: { part: Part; offset: number }) => {
    const { bytes, done } = journal.of(part)
    if (done || bytes > 0) isNew = false
    if (done) return show(part, part.size)
    signal.throwIfAborted()
    const job = {
      part,
      offset,
      asset: assetOf(release, part),
      file: handle,
      kept: Math.min(bytes, part.size),
    }
    await fetchPart(releases, job, {
      signal,
      onPosition: (position) => show(part, position),
      onDisk: (position) => journal.mark(part, { bytes: position, done: false }),
      note: (text) => progress.note(text),
    })
    await journal.mark(part, { bytes: 0, done: true })
  }
  await pMap(
    partsWithOffsets(file),
    // The first failure ends the others, which must end before the file is closed.
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

/** Shows the progress of a file, at most once per MB. */
function shownBytes({ parts, size }: ReleaseFile, progress: FileOptions['progress']) {
  const positions = new Map<string, number>()
  let shown = 0
  return (part: Part, position: number): void => {
    positions.set(part.name, position)
    const done = parts.reduce((sum, { name }) => sum + (positions.get(name) ?? 0), 0)
    if (Math.abs(done - shown) < 1_000_000 && done !== size) return
    shown = done
    progress.bytes('downloading', done, size)
  }
}

async function verifyWhole(file: ReleaseFile, path: string, journal: DownloadJournal): Promise<void> {
  const { name, sha256 } = file
  const found = await sha256File(path)
  if (found === sha256) return
  // Each part was right, so the file has changed on the disk, or the release is wrong.
  await forget(file, journal)
  throw new SeederError(`${name} is complete and wrong: its sha256 is ${found}, the release says ${sha256}`, {
    fix: 'run it again, which downloads it again; if it stays so, do not use this release',
  })
}

function assetOf(release: Release, part: Part): Asset {
  const asset = release.assets.find(({ name }) => name === part.name)
  if (!asset) throw new SeederError(`the release ${release.tag} has no asset ${part.name}`)
  return asset
}

/** Marks all parts of a file as missing. */
async function forget({ parts }: ReleaseFile, journal: DownloadJournal): Promise<void> {
  for (const part of parts) {
    const { bytes, done } = journal.of(part)
    if (done || bytes > 0) await journal.mark(part, { bytes: 0, done: false })
  }
}

function partsWithOffsets({ parts }: ReleaseFile): { part: Part; offset: number }[] {
  let offset = 0
  return parts.map((part) => {
    const place = { part, offset }
    offset += part.size
    return place
  })
}
