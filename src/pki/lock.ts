import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import { text } from 'node:stream/consumers'
import { childEnvironment } from '../process/child-process.ts'
import { interruption } from '../process/interruption.ts'
import { SeederError } from '../report/error.ts'

// A holder works for a second or two.
const WAIT_SECONDS = 30

/**
 * Runs `work` while no other process holds the lock file, which stays. The lock is flock(2)'s: the kernel releases it
 * when this process ends, even if it is killed, so that no lock is stale.
 * @throws SeederError when another process holds it for half a minute
 */
export async function withLock<T>(file: string, work: () => Promise<T>): Promise<T> {
  const handle = await open(file, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600)
  try {
    await lock(file, handle.fd)
    return await work()
  } finally {
    await handle.close()
  }
}

/** Node has no call for flock(2). The lock belongs to the open file, so it outlives the program that takes it. */
async function lock(file: string, fd: number): Promise<void> {
  interruption.throwIfAborted()
  const flock = spawn('flock', ['--exclusive', '--timeout', String(WAIT_SECONDS), '3'], {
    stdio: ['ignore', 'ignore', 'pipe', fd],
    env: childEnvironment(),
    signal: interruption,
  })
  const ended = once(flock, 'close')
  const [said, [code]] = await Promise.all([flock.stderr ? text(flock.stderr) : '', ended]).catch(
    (cause: unknown) => {
      interruption.throwIfAborted()
      throw new SeederError(`could not lock ${file}: ${cause instanceof Error ? cause.message : cause}`, {
        fix: 'install util-linux, which has flock',
        cause,
      })
    },
  )
  interruption.throwIfAborted()
  if (code === 0) return
  // flock prints nothing when the time is over.
  throw said.trim() === ''
    ? new SeederError(`${file} is locked: somebody else has been at work there for ${WAIT_SECONDS} s`, {
        fix: 'wait until it is done; lslocks names the process',
      })
    : new SeederError(`could not lock ${file}: ${said.trim()}`, {
        fix: 'put the folder on a file system that can lock, with --dir or SEEDER_PKI',
      })
}
