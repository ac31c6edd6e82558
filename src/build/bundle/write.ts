import { chmod, copyFile, link, mkdir, rename, rm, rmdir, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { workIn } from '../../files/disk-error.ts'
import { makeRunFolder } from '../../files/run-folder.ts'
import { execa } from '../../process/child-process.ts'
import { interruption } from '../../process/interruption.ts'
import { SeederError } from '../../report/error.ts'
import { Store } from '../../store/store.ts'
import { type BundleFile, type BundleList, FOLDERS, INDEX_FILE } from './format.ts'

/**
 * Writes the bundle of a list to `out`, whole or not at all, from the package store of `cache`. The same list gives the same
 * bytes. The next run to the same path removes what a killed one left.
 * @throws SeederError when a file is not in the store, or is damaged there
 */
export async function writeBundle({ index, text }: BundleList, cache: string, out: string): Promise<void> {
  const staging = await makeRunFolder(join(cache, 'work'))
  // On the file system of `out`, so that the rename is atomic.
  const beside = join(dirname(out), `.${basename(out)}.partial`)
  try {
    const store = new Store(join(cache, 'store'), staging)
    for (const file of index.files) await stage(file, store, staging)
    await writeFile(join(staging, INDEX_FILE), text)
    await workIn(dirname(out), async () => {
      const partial = join(await makeRunFolder(beside), basename(out))
      try {
        await pack(staging, [INDEX_FILE, ...Object.values(FOLDERS).sort()], index.epoch, partial)
        await rename(partial, out)
      } finally {
        await rm(dirname(partial), { recursive: true, force: true })
        // Another run may be using it.
        await rmdir(beside).catch(() => undefined)
      }
    })
  } finally {
    await rm(staging, { recursive: true, force: true })
  }
}

async function stage({ path, name, sha256, size, executable }: BundleFile, store: Store, staging: string) {
  if (!(await store.has(sha256, size)) || !(await store.verify(sha256))) {
    throw new SeederError(`${name ?? path} is not in the package store, or is damaged there`, {
      fix: 'build the image on this machine, which puts every file of its bundle there',
    })
  }
  const place = join(staging, path)
  await mkdir(dirname(place), { recursive: true })
  if (path.startsWith(`${FOLDERS.store}/`)) {
    await link(store.path(sha256), place).catch(() => copyFile(store.path(sha256), place))
  } else {
    // A copy, because it has another mode.
    await copyFile(store.path(sha256), place)
    await chmod(place, executable ? 0o755 : 0o644)
  }
}

/**
 * Packs files of a folder into a tar whose bytes only depend on names, contents, execute bits and `epoch`, the time of every
 * file.
 * @throws SeederError when the disk is full
 */
export async function pack(
  folder: string,
  names: readonly string[],
  epoch: number,
  target: string,
): Promise<void> {
  const argv = [
    '--create',
    '--file',
    target,
    '--format=gnu',
    '--sort=name',
    `--mtime=@${epoch}`,
    '--owner=0',
    '--group=0',
    '--numeric-owner',
    '--mode=u=rwX,go=rX',
    '--hard-dereference',
    '--directory',
    folder,
    '--',
    ...names,
  ]
  const { exitCode, stderr } = await execa('tar', argv, {
    reject: false,
    cancelSignal: interruption,
    env: { LC_ALL: 'C.UTF-8' },
  })
  interruption.throwIfAborted()
  if (exitCode !== 0) {
    throw new SeederError(
      `${basename(target)} cannot be written: ${stderr.split('\n')[0] || `tar ended with ${exitCode}`}`,
      { fix: 'check the free space there' },
    )
  }
}
