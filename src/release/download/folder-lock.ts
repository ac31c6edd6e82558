import { open } from 'node:fs/promises'
import { basename } from 'node:path'
import { tryLock } from '../../files/flock.ts'
import { SeederError } from '../../report/error.ts'

/**
 * Does some work on a download while no other run does.
 * @param file the lock, which stays: a lock on a file that is removed locks nothing
 * @throws SeederError when another run is at work on it
 */
export async function withDownloadLock<T>(file: string, work: () => Promise<T>): Promise<T> {
  const handle = await open(file, 'a', 0o644)
  try {
    if (await tryLock(handle)) return await work()
  } finally {
    await handle.close()
  }
  throw new SeederError(`Another run of Seeder is at work on this release (${basename(file)} is locked)`, {
    fix: `wait for it, or see who it is: fuser -v '${file}'`,
  })
}
