import pMap from 'p-map'
import { download, downloadFailure, HttpStatusError } from '../http/download.ts'
import { backoff, isTransientStatus, retry } from '../http/retry.ts'
import type { LockedArtifact, LockedPackage } from '../image/lock.ts'
import { type Mirrors, mirrorVariable, snapshotVariable } from '../image/mirrors.ts'
import { interruption } from '../process/interruption.ts'
import { SeederError } from '../report/error.ts'
import type { Progress } from '../report/progress.ts'
import { formatBytes } from '../report/table.ts'
import type { Store } from '../store/store.ts'

/** A package of an archive, or an artifact with its own URLs. */
export type LockedFile = LockedPackage | LockedArtifact

const CONNECTIONS = 6
const ATTEMPTS = 3

/** The state of parallel downloads: the first final failure stops the others. */
interface Downloads {
  readonly store: Store
  readonly mirrors: Mirrors
  readonly signal: AbortSignal
  readonly stallMs: number | undefined
  onBytes(count: number): void
}

/**
 * Verifies the locked files in the store, and downloads missing ones from the mirror, then from the snapshot.
 * @param options `findMirrors` is called only when a package is missing; `stallMs` limits the silence of a mirror
 * @throws SeederError when a file cannot be downloaded with the locked digest
 */
export async function fillStore(
  store: Store,
  files: readonly LockedFile[],
  {
    findMirrors,
    progress,
    stallMs,
  }: { findMirrors: () => Promise<Mirrors>; progress: Progress; stallMs?: number },
): Promise<void> {
  const wanted = [...new Map(files.map((file) => [file.sha256, file])).values()]
  const missing: LockedFile[] = []
  for (const file of wanted) {
    if (!(await store.has(file.sha256, file.size))) missing.push(file)
    else if (!(await store.verify(file.sha256))) {
      progress.note(`${file.name}: the stored file is damaged and will be downloaded again`)
      await store.remove(file.sha256)
      missing.push(file)
    }
  }
  if (missing.length === 0) return

  const total = missing.reduce((sum, { size }) => sum + size, 0)
  progress.note(`${missing.length} files to download, ${formatBytes(total)}`)
  const mirrors: Mirrors = missing.some((file) => 'archive' in file) ? await findMirrors() : new Map()
  let done = 0
  const stop = new AbortController()
  const downloads: Downloads = {
    store,
    mirrors,
    stallMs,
    signal: AbortSignal.any([stop.signal, interruption]),
    onBytes(bytes) {
      done += bytes
      progress.bytes('downloading', done, total)
    },
  }
  try {
    await pMap(missing, (file) => fetchFile(downloads, file), { concurrency: CONNECTIONS })
  } finally {
    stop.abort()
  }
}

async function fetchFile(downloads: Downloads, wanted: LockedFile): Promise<void> {
  const failures = new Set<string>()
  const { signal } = downloads
  for (const url of urlsOf(wanted, downloads.mirrors)) {
    const onFailure = (error: unknown) => failures.add(`${url}: ${downloadFailure(error)}`)
    try {
      return await retry(() => fetchFrom(downloads, wanted, url), { wait, signal, onFailure })
    } catch (error) {
      signal.throwIfAborted()
      if (isDiskFull(error)) throw error
    }
  }
  const kind = 'archive' in wanted ? 'Package' : 'Artifact'
  throw new SeederError(
    `${kind} ${wanted.name} ${wanted.version} cannot be downloaded as locked: ${[...failures].join('; ')}`,
    {
      fix:
        'archive' in wanted
          ? `write the lock again, or set ${snapshotVariable(wanted.archive)} (a snapshot that still has it) or ${mirrorVariable(wanted.archive)} (another mirror)`
          : 'check the network; if upstream has changed the file, find out why before writing the lock again',
    },
  )
}

/** The URLs of a file, in the order to try them. */
function urlsOf(wanted: LockedFile, mirrors: Mirrors): string[] {
  if ('urls' in wanted) return wanted.urls
  const source = mirrors.get(wanted.archive)
  if (!source) {
    throw new SeederError(
      `${wanted.name} comes from the archive "${wanted.archive}", which the base does not have`,
      { fix: 'write the lock again' },
    )
  }
  const path = wanted.path.split('/').map(encodeURIComponent).join('/')
  return [source.mirror, source.snapshot].filter((url) => url !== undefined).map((base) => base + path)
}

const usual = backoff(ATTEMPTS, 500)

/** The server has another file: a further attempt would bring it again. */
class WrongContentError extends Error {}

function wait(failures: number, error: unknown): number | undefined {
  const isFinal =
    error instanceof WrongContentError ||
    isDiskFull(error) ||
    (error instanceof HttpStatusError && !isTransientStatus(error.status))
  return isFinal ? undefined : usual(failures)
}

/** One attempt, after which the file is in the store. Throws what ended it. */
async function fetchFrom(
  { store, signal, stallMs, onBytes }: Downloads,
  wanted: LockedFile,
  url: string,
): Promise<void> {
  const content = download(url, { signal, ...(stallMs === undefined ? {} : { stallMs }) })
  const added = await store.add(content, wanted, onBytes)
  if (added.stored) return
  if (added.size < wanted.size) throw new Error(`it ended after ${added.size} of ${wanted.size} bytes`)
  throw new WrongContentError(`its sha256 is ${added.sha256}, the lock says ${wanted.sha256}`)
}

/** Whether an error of the file system means that there is no space or quota left. */
export function isDiskFull(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOSPC' || error.code === 'EDQUOT')
}
