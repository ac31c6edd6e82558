import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Store } from '../../build/store.ts'
import { type BundleFile, type BundleList, contentsOf } from '../../bundle/index.ts'
import { workIn } from '../../disk-error.ts'
import type { Release, Releases } from '../../github/release.ts'
import { SeederError } from '../../report/error.ts'
import type { Progress } from '../../report/progress.ts'
import { formatBytes } from '../../report/table.ts'
import { makeRunFolder } from '../../run-folder.ts'
import { readContents } from '../contents-asset.ts'
import type { Trust } from '../signed-sums.ts'
import { describeMissing } from './describe.ts'
import { fetchMembers } from './fetch.ts'
import { findMembers, type Placement } from './holders.ts'
import { readSignedList } from './signed-list.ts'

/** How the files of a bundle are fetched. */
export interface AssembleOptions {
  readonly trust: Trust
  /** Seeder's cache folder: the files go into its package store, and those that are there are not fetched. */
  readonly cache: string
  readonly progress: Progress
  readonly signal: AbortSignal
}

/**
 * Brings every file of a release's bundle into the package store, out of the packs of this and of earlier releases. What
 * was fetched before, also by a run that was killed, is not fetched again.
 * Throws SeederError when the list is not signed by whom it should be, or a file is not to be had as it says.
 */
export async function fetchBundle(
  releases: Releases,
  all: readonly Release[],
  release: Release,
  { trust, cache, progress, signal }: AssembleOptions,
): Promise<BundleList> {
  progress.phase(`read the list of ${release.tag}`)
  const list = await readSignedList(releases, release, trust, signal)
  const { bundle } = (await readContents(releases, release, signal)) ?? {}
  const scratch = await makeRunFolder(join(cache, 'work'))
  try {
    const store = new Store(join(cache, 'store'), scratch)
    const wanted = await lacking(contentsOf(list.index.files), store)
    progress.phase('look where its files are')
    const placement = await findMembers(releases, all, { release, bundle }, wanted, signal)
    requireAll(release, placement, list.index.files)
    const total = wanted.reduce((sum, { size }) => sum + size, 0)
    progress.phase(`fetch ${wanted.length} files, ${formatBytes(total)}`)
    let done = 0
    await workIn(cache, () =>
      fetchMembers(releases, placement, {
        signal,
        note: (text) => progress.note(text),
        take: async (span, bytes) => {
          const added = await store.add(bytes, span)
          if (!added.stored) return added.sha256
          done += span.size
          progress.bytes('fetched', done, total)
          return span.sha256
        },
      }),
    )
    return list
  } finally {
    await rm(scratch, { recursive: true, force: true })
  }
}

async function lacking(files: readonly BundleFile[], store: Store): Promise<BundleFile[]> {
  const missing: BundleFile[] = []
  for (const file of files) {
    const { sha256, size } = file
    if (!(await store.has(sha256, size)) || !(await store.verify(sha256))) missing.push(file)
  }
  return missing
}

function requireAll(release: Release, { missing, reasons }: Placement, files: readonly BundleFile[]): void {
  if (missing.length === 0) return
  throw new SeederError(
    `${release.tag} cannot be put together: ${describeMissing({ missing, reasons }, files)}`,
    {
      fix: 'build the image at its commit, with a snapshot that still has the packages (SEEDER_SNAPSHOT_…): they are in the package store then, and this takes them from there',
    },
  )
}
