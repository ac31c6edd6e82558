import { open } from 'node:fs/promises'
import { tryLock } from '../files/flock.ts'
import { SeederError } from '../report/error.ts'

/** One run of `seeder node` at a time changes anything on a host. */
export const nodeLock = '/run/lock/seeder-node.lock'

/**
 * Takes the lock for `work`, which gets the open file. The lock is the kernel's, on the open file: it goes when the last
 * process that has it open ends, however that happens, and a command that inherited it keeps it until then.
 * @throws SeederError when another run has it
 */
export async function withLock<T>(work: (lock: number) => Promise<T>, file = nodeLock): Promise<T> {
  const handle = await open(file, 'a', 0o600).catch((cause: unknown) => {
    throw new SeederError(`The lock ${file} cannot be opened`, { fix: 'run it as root', cause })
  })
  try {
    if (!(await tryLock(handle))) {
      throw new SeederError('Another run of `seeder node` is at work on this host', {
        fix: `wait for it, or see who it is: fuser -v ${file}`,
      })
    }
    return await work(handle.fd)
  } finally {
    await handle.close()
  }
}
