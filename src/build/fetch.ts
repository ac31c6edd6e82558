import pMap from 'p-map'
import { download, downloadFailure, HttpStatusError } from '../http/download.ts'
import type { LockedArtifact, LockedPackage } from '../image/lock.ts'
import { type Mirrors, mirrorVariable, snapshotVariable } from '../image/mirrors.ts'
import { interruption } from '../process/interruption.ts'
import { SeederError } from '../report/error.ts'
import type { Progress } from '../report/progress.ts'
import { formatBytes } from '../report/table.ts'
import type { Store } from '../store/store.ts'

/** What a build fetches: a package from an archive, or an artifact from its own URLs. */
export type LockedFile = LockedPackage | LockedArtifact

const CONNECTIONS = 6
const ATTEMPTS = 3

/** One run of downloads: the first that fails for good ends the others. */
interface Downloads {
  readonly store: Store
  readonly mirrors: Mirrors
  readonly signal: AbortSignal
  readonly stallMs: number | undefined
  onBytes(count: number): void
}

/**
 * Brings every locked package and artifact into the store: what is there is verified, what is missing is fetched from
 * the mirror, then from the snapshot. `findMirrors` is asked only when a package is missing. `stallMs` is how long a
 * mirror may be silent.
 * Throws SeederError naming the first one that cannot be had with the locked digest.
 */
export async function fillStore(
  store: Store,
  files: readonly LockedFile[],
  findMirrors: () => Promise<Mirrors>,
  progress: Progress,
  stallMs?: number,
): Promise<void> {
  const wanted = [...new Map(files.map((one) => [one.sha256, one])).values()]
  const missing: LockedFile[] = []
  for (const one of wanted) {
    if (!(await store.has(one.sha256, one.size))) missing.push(one)
    else if (!(await store.verify(one.sha256))) {
      progress.note(`${one.name}: the stored file is damaged and will be fetched again`)
      await store.remove(one.sha256)
      missing.push(one)
    }
  }
  if (missing.length === 0) return

  const total = missing.reduce((sum, one) => sum + one.size, 0)
  progress.note(`${missing.length} files to download, ${formatBytes(total)}`)
  const mirrors: Mirrors = missing.some((one) => 'archive' in one) ? await findMirrors() : new Map()
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
    await pMap(missing, (one) => fetchOne(downloads, one), { concurrency: CONNECTIONS })
  } finally {
    stop.abort()
  }
}

async function fetchOne(downloads: Downloads, wanted: LockedFile): Promise<void> {
  const failures: string[] = []
  for (const url of urlsOf(wanted, downloads.mirrors)) {
    for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
      const failure = await tryFetch(downloads, wanted, url)
      if (failure === undefined) return
      failures.push(`${url}: ${failure.reason}`)
      if (failure.final) break
      await new Promise((resolve) => setTimeout(resolve, 500 * attempt))
    }
  }
  const kind = 'archive' in wanted ? 'Package' : 'Artifact'
  throw new SeederError(
    `${kind} ${wanted.name} ${wanted.version} cannot be fetched as locked: ${[...new Set(failures)].join('; ')}`,
    {
      fix:
        'archive' in wanted
          ? `write the lock again, or set ${snapshotVariable(wanted.archive)} (a snapshot that still has it) or ${mirrorVariable(wanted.archive)} (another mirror)`
          : 'check the network; if upstream has changed the file, find out why before writing the lock again',
    },
  )
}

/** Where a file may be had, the best place first. */
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
  return [source.mirror, source.snapshot].filter((one) => one !== undefined).map((base) => base + path)
}

/** One attempt. Undefined when the file is in the store now; else why not, and whether trying again is in vain. */
async function tryFetch(
  { store, signal, stallMs, onBytes }: Downloads,
  wanted: LockedFile,
  url: string,
): Promise<{ reason: string; final: boolean } | undefined> {
  try {
    const content = download(url, { signal, ...(stallMs === undefined ? {} : { stallMs }) })
    const added = await store.add(content, wanted, onBytes)
    if (added.stored) return undefined
    return added.size < wanted.size
      ? { reason: `it ended after ${added.size} of ${wanted.size} bytes`, final: false }
      : { reason: `its sha256 is ${added.sha256}, the lock says ${wanted.sha256}`, final: true }
  } catch (error) {
    if (isDiskFull(error)) throw error
    signal.throwIfAborted()
    const status = error instanceof HttpStatusError ? error.status : undefined
    return { reason: downloadFailure(error), final: status !== undefined && status < 500 && status !== 429 }
  }
}

/** Whether an error of node's file system calls says that there is no space (or quota) left. */
export function isDiskFull(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOSPC' || error.code === 'EDQUOT')
}
