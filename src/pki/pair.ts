import { existsSync } from 'node:fs'
import { open, readdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { makePrivateFolder } from './folder.ts'
import type { KeyPair } from './openssl.ts'

/**
 * A certificate and its key are two files, and have to change together: each pair has a folder of its own, which is
 * made whole as `NAME.new` and then renamed. A pair that is replaced is `NAME.old` until the new one is in its place.
 * Names have no dots, so these two cannot be somebody's.
 */
const UNFINISHED = /^([a-z0-9-]+)\.(new|old)$/

/**
 * Writes a pair as `parent/name/file.crt` and `file.key`, in the place of an older one. Whenever it is cut short,
 * `finishPairs` leaves either the whole old pair or the whole new one.
 */
export async function writePair(parent: string, name: string, file: string, pair: KeyPair): Promise<void> {
  const target = join(parent, name)
  const [next, last] = [`${target}.new`, `${target}.old`]
  try {
    await makePrivateFolder(next)
    await writeSynced(join(next, `${file}.key`), pair.key, 0o600)
    await writeSynced(join(next, `${file}.crt`), pair.certificate, 0o644)
    await syncFolder(next)
    if (existsSync(target)) await rename(target, last)
    await rename(next, target)
    await syncFolder(parent)
  } finally {
    await finishPairs(parent)
  }
}

/** Undoes, or completes, what a run that was cut short has left in a folder of pairs. */
export async function finishPairs(parent: string): Promise<void> {
  for (const entry of await readdir(parent)) {
    const [, name = '', state] = UNFINISHED.exec(entry) ?? []
    if (state === 'old' && !existsSync(join(parent, name))) {
      await rename(join(parent, entry), join(parent, name))
    } else if (state !== undefined) {
      await rm(join(parent, entry), { recursive: true, force: true })
    }
  }
}

/** Writes a new file so that it is on the disk, with its mode from the start. */
async function writeSynced(path: string, text: string, mode: number): Promise<void> {
  const handle = await open(path, 'wx', mode)
  try {
    await handle.writeFile(text)
    // The umask may have taken more away than it should.
    await handle.chmod(mode)
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** Makes sure that the names in a folder are on the disk. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
