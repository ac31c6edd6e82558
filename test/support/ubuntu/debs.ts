import { link, mkdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { execa } from 'execa'
import { fillStore } from '../../../src/build/fetch.ts'
import type { LockedPackage } from '../../../src/image/lock.ts'
import type { Mirrors } from '../../../src/image/mirrors.ts'
import { createProgress } from '../../../src/report/progress.ts'
import { Store } from '../../../src/store/store.ts'
import { usersCache } from '../builds.ts'
import type { Debian } from './debian.ts'

/**
 * Fetches packages of Debian's archive into the tests' cache, which is below the user's cache, and returns it. Verifies
 * every file each time. Links the files that Seeder's store already has.
 */
export async function fetchDebs(packages: readonly LockedPackage[], mirrors: Mirrors): Promise<Store> {
  const cache = join(usersCache, 'seeder-test')
  const scratch = join(cache, 'partial')
  await mkdir(scratch, { recursive: true })
  const store = new Store(join(cache, 'store'), scratch)
  const builds = new Store(join(usersCache, 'seeder', 'store'), scratch)
  for (const { sha256, size } of packages) {
    if ((await store.has(sha256, size)) || !(await builds.has(sha256, size))) continue
    await mkdir(dirname(store.path(sha256)), { recursive: true })
    // A file that cannot be linked is fetched.
    await link(builds.path(sha256), store.path(sha256)).catch(() => {})
  }
  const silent = createProgress({ write: () => true }, {}, true)
  await fillStore(store, packages, { findMirrors: async () => mirrors, progress: silent })
  return store
}

/** Unpacks packages of Debian's archive, each into its own folder below `folder`. Returns these folders. */
export async function unpackDebian(
  folder: string,
  debian: Debian,
  names: readonly string[],
): Promise<string[]> {
  const debs = await debian.alone(names)
  const store = await fetchDebs(debs, debian.mirrors)
  return Promise.all(
    debs.map(async ({ name, sha256 }) => {
      const target = join(folder, name)
      await mkdir(target)
      await execa('dpkg-deb', ['--extract', store.path(sha256), target])
      return target
    }),
  )
}
