import pMap from 'p-map'
import type { LockedPackage } from '../image/lock.ts'
import { mirrorVariable, snapshotVariable } from '../image/mirrors.ts'
import { interruption } from '../interruption.ts'
import { SeederError } from '../report/error.ts'
import type { Progress } from '../report/progress.ts'
import { formatBytes } from '../report/table.ts'
import type { Store } from './store.ts'

export type Mirrors = ReadonlyMap<string, { mirror: string; snapshot?: string }>

const CONNECTIONS = 6
const ATTEMPTS = 3
/** No byte for this long means that the mirror is not answering any more. */
const STALL_MS = 30_000

/** One run of downloads: the first that fails for good ends the others. */
interface Downloads {
  readonly store: Store
  readonly mirrors: Mirrors
  readonly signal: AbortSignal
  readonly stallMs: number
  onBytes(count: number): void
}

/**
 * Brings every locked package into the store: what is there is verified, what is missing is fetched from the
 * mirror, then from the snapshot. `findMirrors` is asked only when something is missing. `stallMs` is how long a
 * mirror may be silent.
 * Throws SeederError naming the first package that cannot be had with the locked digest.
 */
export async function fillStore(
  store: Store,
  packages: readonly LockedPackage[],
  findMirrors: () => Promise<Mirrors>,
  progress: Progress,
  stallMs = STALL_MS,
): Promise<void> {
  const wanted = [...new Map(packages.map((one) => [one.sha256, one])).values()]
  const missing: LockedPackage[] = []
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
  progress.note(`${missing.length} packages to download, ${formatBytes(total)}`)
  const mirrors = await findMirrors()
  let done = 0
  const stop = new AbortController()
  const downloads: Downloads = {
    ...{ store, mirrors, stallMs, signal: AbortSignal.any([stop.signal, interruption]) },
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

async function fetchOne(downloads: Downloads, wanted: LockedPackage): Promise<void> {
  const source = downloads.mirrors.get(wanted.archive)
  if (!source) {
    throw new SeederError(
      `${wanted.name} comes from the archive "${wanted.archive}", which the base does not have`,
      {
        fix: 'write the lock again',
      },
    )
  }
  const failures: string[] = []
  for (const base of [source.mirror, source.snapshot].filter((one) => one !== undefined)) {
    const url = base + wanted.path.split('/').map(encodeURIComponent).join('/')
    for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
      const failure = await tryFetch(downloads, wanted, url)
      if (failure === undefined) return
      failures.push(`${url}: ${failure.reason}`)
      if (failure.final) break
      await new Promise((resolve) => setTimeout(resolve, 500 * attempt))
    }
  }
  throw new SeederError(
    `Package ${wanted.name} ${wanted.version} cannot be fetched as locked: ${[...new Set(failures)].join('; ')}`,
    {
      fix: `write the lock again, or set ${snapshotVariable(wanted.archive)} (a snapshot that still has it) or ${mirrorVariable(wanted.archive)} (another mirror)`,
    },
  )
}

/** One attempt. Undefined when the package is in the store now; else why not, and whether trying again is in vain. */
async function tryFetch(
  downloads: Downloads,
  wanted: LockedPackage,
  url: string,
): Promise<{ reason: string; final: boolean } | undefined> {
  const { store, stallMs } = downloads
  const silent = new AbortController()
  let stall = setTimeout(() => silent.abort(), stallMs)
  try {
    const response = await fetch(url, { signal: AbortSignal.any([silent.signal, downloads.signal]) })
    if (!response.ok || !response.body) {
      return { reason: `HTTP ${response.status}`, final: response.status < 500 && response.status !== 429 }
    }
    const added = await store.add(response.body, wanted, (count) => {
      clearTimeout(stall)
      stall = setTimeout(() => silent.abort(), stallMs)
      downloads.onBytes(count)
    })
    if (added.stored) return undefined
    return added.size < wanted.size
      ? { reason: `it ended after ${added.size} of ${wanted.size} bytes`, final: false }
      : { reason: `its sha256 is ${added.sha256}, the lock says ${wanted.sha256}`, final: true }
  } catch (error) {
    if (isDiskFull(error)) throw error
    downloads.signal.throwIfAborted()
    if (silent.signal.aborted) return { reason: `no data for ${stallMs / 1000} s`, final: false }
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error
    return { reason: cause instanceof Error ? cause.message || String(cause) : String(cause), final: false }
  } finally {
    clearTimeout(stall)
  }
}

/** Whether an error of node's file system calls says that there is no space (or quota) left. */
export function isDiskFull(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOSPC' || error.code === 'EDQUOT')
}
