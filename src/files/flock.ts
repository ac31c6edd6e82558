import { spawn } from 'node:child_process'
import type { FileHandle } from 'node:fs/promises'
import { childEnvironment } from '../process/child-process.ts'
import { SeederError } from '../report/error.ts'

/**
 * Locks an open file with flock(2); false when another process has the lock. The kernel releases it when the last
 * process that has the file open ends.
 */
export async function tryLock(handle: FileHandle): Promise<boolean> {
  // Node has no call for it: flock(1) locks the file that it inherits.
  const child = spawn('flock', ['--exclusive', '--nonblock', '3'], {
    stdio: ['ignore', 'ignore', 'ignore', handle.fd],
    env: childEnvironment(),
  })
  return new Promise((resolve, reject) => {
    child.on('error', (cause) => reject(new SeederError('flock, of util-linux, cannot be run', { cause })))
    child.on('close', (code) => resolve(code === 0))
  })
}
