import { writeSync } from 'node:fs'

/** A worker has only one stream: what goes to standard error elsewhere is in its output, and in its task's log. */
let worker: ((text: string) => void) | undefined

/** From now on this process writes as a worker. */
export function writeAsWorker(log: (text: string) => void): void {
  worker = log
}

export function out(text: string): void {
  worker?.(text)
  write(1, text)
}

export function err(text: string): void {
  worker?.(text)
  write(worker === undefined ? 2 : 1, text)
}

export function say(line: string): void {
  out(`${line}\n`)
}

/** Writes all of it. That nobody reads any more ends no worker: its caller may have been killed. */
function write(fd: 1 | 2, text: string): void {
  const bytes = Buffer.from(text)
  for (let at = 0; at < bytes.length; ) {
    try {
      at += writeSync(fd, bytes, at)
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      if (code === 'EAGAIN') continue
      if (code === 'EPIPE') return
      throw error
    }
  }
}
