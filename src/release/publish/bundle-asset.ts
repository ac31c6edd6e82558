import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { bundleListName, bundleName } from '../../build/bundle/format.ts'
import { writeBundle } from '../../build/bundle/write.ts'
import type { Manifest } from '../../build/manifest.ts'
import { makeRunFolder } from '../../files/run-folder.ts'
import { SeederError } from '../../report/error.ts'
import type { Progress } from '../../report/progress.ts'
import { readBundleList } from '../format/bundle-list.ts'
import { type LocalRelease, withBundleFile } from './local.ts'

/** The bundle of a release. */
export interface BundleRequest {
  readonly manifest: Manifest
  /** Seeder's cache folder, with the package store; undefined to publish without the bundle. */
  readonly cache: string | undefined
  /** Bytes of a part. */
  readonly partSize: number | undefined
}

/**
 * Adds the bundle to a release while `use` runs. Without a cache, or a list of what the image was built from, nothing
 * is added.
 * @throws SeederError when a file of the bundle is not in the package store
 */
export async function withBundleOf<T>(
  local: LocalRelease,
  { manifest, cache, partSize }: BundleRequest,
  progress: Progress,
  use: (complete: LocalRelease) => Promise<T>,
): Promise<T> {
  if (cache === undefined) return use(local)
  const text = local.small.get(bundleListName(manifest))
  if (text === undefined) {
    progress.note('the build has no list of what it was built from: it is published without its bundle')
    return use(local)
  }
  progress.phase('write the bundle')
  const list = readBundleList(text, manifest)
  const folder = await makeRunFolder(join(cache, 'work'))
  try {
    const path = join(folder, bundleName(manifest))
    await writeBundle(list, cache, path).catch((cause: unknown) => {
      if (!(cause instanceof SeederError)) throw cause
      const fix = [cause.fix, 'publish without it: --no-bundle'].filter(Boolean).join('; or ')
      throw new SeederError(cause.message, { fix, cause })
    })
    return await use(await withBundleFile(local, path, partSize))
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
