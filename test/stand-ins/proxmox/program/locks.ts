import { spawnSync } from 'node:child_process'
import { closeSync, mkdirSync, openSync } from 'node:fs'
import { dirname } from 'node:path'
import { PveError } from './failure.ts'
import { err } from './output.ts'

// How long a command waits for another one that works on the same VM.
const configTimeoutSeconds = 10
const storageTimeoutSeconds = 60

/** Does some work while no other process works on a VM's configuration. */
export async function withConfigLock<T>(vmid: number, work: () => Promise<T>): Promise<T> {
  return withLock(`/var/lock/qemu-server/lock-${vmid}.conf`, configTimeoutSeconds, work)
}

/** Does some work while no other process gives out names of a storage's volumes. */
export async function withStorageLock<T>(storage: string, work: () => Promise<T>): Promise<T> {
  return withLock(`/var/lock/pve-manager/pve-storage-${storage}`, storageTimeoutSeconds, work)
}

async function withLock<T>(path: string, timeoutSeconds: number, work: () => Promise<T>): Promise<T> {
  mkdirSync(dirname(path), { recursive: true })
  // A lock of flock(2) belongs to the open file: it is ours, although another program takes it, until we close it
  // or end, in whatever way.
  const fd = openSync(path, 'a')
  try {
    if (!lock(fd, ['-n'])) {
      err('trying to acquire lock...\n')
      if (!lock(fd, ['-w', String(timeoutSeconds)])) {
        throw new PveError(`can't lock file '${path}' - got timeout`, 4)
      }
      err(' OK\n')
    }
    return await work()
  } finally {
    closeSync(fd)
  }
}

function lock(fd: number, options: readonly string[]): boolean {
  const { status } = spawnSync('/usr/bin/flock', ['-x', ...options, '3'], {
    stdio: ['ignore', 'ignore', 'ignore', fd],
  })
  return status === 0
}
