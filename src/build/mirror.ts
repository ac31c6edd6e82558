import { createHash } from 'node:crypto'
import { chmod, link, mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { execa } from 'execa'
import pMap from 'p-map'
import type { LockedPackage } from '../image/lock.ts'
import { SeederError } from '../report/error.ts'
import type { Store } from '../store/store.ts'
import { HOST_ENVIRONMENT } from './namespace.ts'
import { makeFolder, writeTexts } from './tree.ts'

/**
 * Lays out the locked packages, and nothing else, as an apt archive in `folder` (an empty one, on the store's file
 * system). The build's package manager has no network and no other source, so what is not locked does not exist
 * for it. The index carries the lock's digests, which apt verifies again. Everybody may read it, whatever the umask is.
 */
export async function layOutMirror(
  folder: string,
  suite: string,
  packages: readonly LockedPackage[],
  store: Store,
): Promise<void> {
  const place = async (one: LockedPackage) => {
    const path = join(folder, one.path)
    await makeFolder(dirname(path))
    await link(store.path(one.sha256), path)
    await chmod(path, 0o644)
    return indexRecord(one, await controlOf(one, store))
  }
  const records = await pMap(packages, place, { concurrency: 4 })
  const index = records.join('\n')
  const release = releaseFile(suite, index)
  await writeTexts(
    { [`dists/${suite}/main/binary-amd64/Packages`]: index, [`dists/${suite}/Release`]: release },
    folder,
  )
}

/** A package's paragraph of the index `Packages`. Throws SeederError when the deb is not what the lock says it is. */
export function indexRecord(locked: LockedPackage, control: string): string {
  const field = (name: string) => new RegExp(`^${name}: (.*)$`, 'm').exec(control)?.[1]
  if (field('Package') !== locked.name || field('Version') !== locked.version) {
    throw new SeederError(
      `The file locked as ${locked.name} ${locked.version} is ${field('Package')} ${field('Version')}`,
      { fix: 'write the lock again' },
    )
  }
  return `${control.trimEnd()}\nFilename: ${locked.path}\nSize: ${locked.size}\nSHA256: ${locked.sha256}\n`
}

/** A `Release` file with one index in it. It is not signed: what it names is verified by the lock's digests. */
export function releaseFile(suite: string, index: string): string {
  const digest = createHash('sha256').update(index).digest('hex')
  const size = Buffer.byteLength(index)
  return [
    'Origin: Seeder',
    'Label: Seeder',
    `Suite: ${suite}`,
    `Codename: ${suite}`,
    'Architectures: amd64',
    'Components: main',
    'Date: Thu, 01 Jan 1970 00:00:00 UTC',
    'SHA256:',
    ` ${digest} ${size} main/binary-amd64/Packages`,
    '',
  ].join('\n')
}

/** The control paragraph of a stored deb; read once, then kept beside the store under the deb's digest. */
async function controlOf(one: LockedPackage, store: Store): Promise<string> {
  const kept = join(store.folder, 'control', one.sha256)
  const known = await readFile(kept, 'utf8').catch(() => undefined)
  if (known !== undefined) return known
  const { stdout } = await execa('dpkg-deb', ['--field', store.path(one.sha256)], HOST_ENVIRONMENT)
  await mkdir(dirname(kept), { recursive: true })
  await writeFile(`${kept}.${process.pid}.tmp`, stdout)
  await rename(`${kept}.${process.pid}.tmp`, kept)
  return stdout
}
