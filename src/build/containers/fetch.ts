import { createReadStream } from 'node:fs'
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { LockedContainer } from '../../image/lock.ts'
import { parseReference } from '../../image/reference.ts'
import { copyImage } from '../../image/registry.ts'
import { SeederError } from '../../report/error.ts'
import type { Progress } from '../../report/progress.ts'
import { formatBytes } from '../../report/table.ts'
import type { Store } from '../../store/store.ts'

type Blob = LockedContainer['blobs'][number]

/** The files of a locked container image: its manifest and its blobs. */
export function filesOfContainer({ sha256, size, blobs }: LockedContainer): Blob[] {
  return [{ sha256, size }, ...blobs]
}

/**
 * Verifies the container images in the store, and copies those from their registries of which a file is missing.
 * @param options `scratch`: the folder for copies, on the file system of the store; `silenceMs` limits the silence of a
 *   registry
 * @throws SeederError when a registry does not have an image as locked
 */
export async function fillWithContainers(
  store: Store,
  containers: readonly LockedContainer[],
  { scratch, progress, silenceMs }: { scratch: string; progress: Progress; silenceMs?: number | undefined },
): Promise<void> {
  const missing: LockedContainer[] = []
  for (const container of containers) {
    if (!(await isWhole(store, container))) missing.push(container)
  }
  if (missing.length === 0) return
  const total = missing.flatMap(filesOfContainer).reduce((sum, { size }) => sum + size, 0)
  progress.note(`${missing.length} container images to download, ${formatBytes(total)}`)
  let done = 0
  for (const container of missing) {
    await fetchContainer(store, container, join(scratch, 'container'), silenceMs)
    done += filesOfContainer(container).reduce((sum, { size }) => sum + size, 0)
    progress.bytes('downloading container images', done, total)
  }
}

async function isWhole(store: Store, container: LockedContainer): Promise<boolean> {
  for (const { sha256, size } of filesOfContainer(container)) {
    if (!(await store.has(sha256, size))) return false
    if (await store.verify(sha256)) continue
    await store.remove(sha256)
    return false
  }
  return true
}

async function fetchContainer(
  store: Store,
  container: LockedContainer,
  folder: string,
  silenceMs: number | undefined,
): Promise<void> {
  const files = filesOfContainer(container)
  await mkdir(folder)
  try {
    const most = Math.max(...files.map(({ size }) => size))
    await copyImage(parseReference(container.reference), container.sha256, folder, { most, silenceMs })
    for (const file of files) {
      const copied = join(folder, file.sha256 === container.sha256 ? 'manifest.json' : file.sha256)
      const added = await store.add(createReadStream(copied), file).catch(whenMissing)
      if (added?.stored) continue
      throw new SeederError(
        `The registry does not have ${container.reference} as locked: ${reasonOf(file, added)}`,
        {
          fix: 'find out why, before you write the lock again',
        },
      )
    }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** A file that the registry did not send; any other error, as of a full disk, is not the registry's. */
function whenMissing(error: unknown): undefined {
  if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error
}

function reasonOf(wanted: Blob, found: { stored: boolean; sha256?: string } | undefined): string {
  return found?.sha256 === undefined
    ? `it lacks the blob ${wanted.sha256}`
    : `the sha256 of a blob is ${found.sha256}, not ${wanted.sha256}`
}
