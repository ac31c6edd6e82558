import { existsSync } from 'node:fs'
import { open, readdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { makePrivateFolder } from './folder.ts'
import type { KeyPair } from './openssl.ts'

/**
 * A certificate and its key are two files that have to change together: each pair has its own folder, which is
 * completed as `NAME.new` and then renamed. A replaced pair is `NAME.old` until the new one is in place. Names of
 * certificates have no dots.
 */
const UNFINISHED = /^([a-z0-9-]+)\.(new|old)$/

/**
 * Writes a pair as `parent/name/file.crt` and `file.key`, replacing an older one. Whenever it is interrupted,
 * `finishPairs` restores the complete old pair or the complete new one.
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

/** Undoes or completes what an interrupted run has left in a folder of pairs. */
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

/** Writes a new file durably, with its mode from the start. */
async function writeSynced(path: string, text: string, mode: number): Promise<void> {
  const handle = await open(path, 'wx', mode)
  try {
    await handle.writeFile(text)
    // The umask may have removed other permissions than those.
    await handle.chmod(mode)
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** Makes the names in a folder durable. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
