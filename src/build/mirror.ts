import { hash } from 'node:crypto'
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
 * Makes an apt archive of the locked packages. It is the only source of the build's package manager, which has no network.
 * The index has the lock's digests, which apt verifies again. Every user can read it, with any umask.
 * @param folder an empty folder on the file system of the store
 */
export async function layOutMirror(
  folder: string,
  suite: string,
  packages: readonly LockedPackage[],
  store: Store,
): Promise<void> {
  const place = async (locked: LockedPackage) => {
    const path = join(folder, locked.path)
    await makeFolder(dirname(path))
    await link(store.path(locked.sha256), path)
    await chmod(path, 0o644)
    return indexRecord(locked, await readControl(locked, store))
  }
  const records = await pMap(packages, place, { concurrency: 4 })
  const index = records.join('\n')
  const release = releaseFile(suite, index)
  await writeTexts(
    { [`dists/${suite}/main/binary-amd64/Packages`]: index, [`dists/${suite}/Release`]: release },
    folder,
  )
}

/**
 * A package's paragraph in the index `Packages`.
 * @throws SeederError when the deb has another name or version than the lock
 */
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

/** A `Release` file with a single index. It is not signed: the lock's digests verify the packages. */
export function releaseFile(suite: string, index: string): string {
  const digest = hash('sha256', index)
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

/** The control paragraph of a stored deb, which is cached in the store under the deb's digest. */
async function readControl({ sha256 }: LockedPackage, store: Store): Promise<string> {
  const kept = join(store.folder, 'control', sha256)
  const known = await readFile(kept, 'utf8').catch(() => undefined)
  if (known !== undefined) return known
  const { stdout } = await execa('dpkg-deb', ['--field', store.path(sha256)], HOST_ENVIRONMENT)
  await mkdir(dirname(kept), { recursive: true })
  await writeFile(`${kept}.${process.pid}.tmp`, stdout)
  await rename(`${kept}.${process.pid}.tmp`, kept)
  return stdout
}
