import { mkdir, rm, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { makeRunFolder } from '../files/run-folder.ts'
import type { Image } from '../image/definition.ts'
import type { Lock } from '../image/lock.ts'
import { SeederError } from '../report/error.ts'
import { formatBytes } from '../report/table.ts'
import type { Store } from '../store/store.ts'
import type { Enclosure } from './enclosure.ts'
import type { Layers } from './layers.ts'
import { removeTrees, runInside } from './namespace.ts'
import type { Tools } from './tools.ts'

/** What every step of a build uses. */
export interface BuildRun {
  readonly image: Image
  readonly lock: Lock
  readonly store: Store
  readonly tools: Tools
  readonly layers: Layers
  /** The work folder. */
  readonly scratch: string
}

type Binds = Pick<Enclosure, 'binds' | 'env'>

/**
 * Runs a shell script with the tools tree in an enclosure: with `inside` of the work folder at /scratch, `binds`, and the epoch
 * of the lock. What its programs print is for people: no result of a build depends on it. Throws as `runInside`.
 */
export async function runStep(run: BuildRun, what: string, script: string, binds: Binds): Promise<void> {
  await runInside(enclosureOf(run, binds), what, script)
}

/**
 * Runs a shell script that only reads, in an enclosure of its own, as `runStep` does. Programs of packages do not run in it, and
 * none that a step started is left.
 * @returns its standard output, the answer
 */
export function queryTree(run: BuildRun, what: string, script: string, binds: Binds): Promise<string> {
  return runInside(enclosureOf(run, binds), what, script)
}

function enclosureOf({ tools, lock, scratch }: BuildRun, { binds, env }: Binds): Enclosure {
  return {
    tools: tools.folder,
    binds: [{ from: insideOf(scratch), to: '/scratch', writable: true }, ...binds],
    env: { SOURCE_DATE_EPOCH: String(lock.epoch), ...env },
  }
}

/** The largest build's tree, its tar, the file systems, the raw disk and the qcow2 together. */
const NEEDED_BYTES = 2.5e9

/**
 * The part of a work folder that the steps of a build write to, their /scratch. Scripts of packages can put anything there:
 * outside a step, read only the plain files directly in it.
 */
export function insideOf(folder: string): string {
  return join(folder, 'inside')
}

/** Runs `work` with a new folder below `parent`, which is removed afterwards in any case; see `makeRunFolder`. */
export async function withWorkFolder<T>(parent: string, work: (folder: string) => Promise<T>): Promise<T> {
  const folder = await makeRunFolder(parent, removeTrees)
  try {
    // After makeRunFolder, whose cleaning may free the space.
    await requireSpace(parent)
    await mkdir(insideOf(folder))
  } catch (error) {
    await rm(folder, { recursive: true })
    throw error
  }
  try {
    return await work(folder)
  } finally {
    await removeTrees([folder])
  }
}

async function requireSpace(folder: string): Promise<void> {
  const { bavail, bsize } = await statfs(folder)
  const free = bavail * bsize
  if (free >= NEEDED_BYTES) return
  throw new SeederError(
    `A build needs ${formatBytes(NEEDED_BYTES)} in ${folder}, and only ${formatBytes(free)} are free`,
    { fix: 'free some space, or put the cache elsewhere with XDG_CACHE_HOME' },
  )
}
