import { spawn } from 'node:child_process'
import type { FileHandle } from 'node:fs/promises'
import { childEnvironment } from '../process/child-process.ts'
import { SeederError } from '../report/error.ts'

/**
 * Takes flock(2)'s lock on an open file, unless another process has it; whether it did. The lock is the kernel's, on the
 * open file: it goes when the last process that has it open ends, however that happens.
 */
export async function tryLock(handle: FileHandle): Promise<boolean> {
  // Node has no call for it: flock(1) locks the file that it inherits, and the lock stays with it.
  const child = spawn('flock', ['--exclusive', '--nonblock', '3'], {
    stdio: ['ignore', 'ignore', 'ignore', handle.fd],
    env: childEnvironment(),
  })
  return new Promise((resolve, reject) => {
    child.on('error', (cause) => reject(new SeederError('flock, of util-linux, cannot be run', { cause })))
    child.on('close', (code) => resolve(code === 0))
  })
}
