import { closeSync, openSync, writeSync } from 'node:fs'
import { PveError } from './failure.ts'
import { activeFault, isMarked, passMoment } from './faults.ts'
import type { ImageFormat } from './image-file.ts'
import { err, say } from './output.ts'
import { run } from './processes.ts'

/** A disk's file or device, and what it is. */
export interface Image {
  readonly path: string
  readonly format: ImageFormat
}

/**
 * Copies a disk into a volume that exists already, and says how far it is.
 * @param size bytes, for what it says
 * @param quiet says nothing
 * @throws PveError when qemu-img fails, in Proxmox VE's words
 */
export async function convert(source: Image, target: Image, size: number, quiet = false): Promise<void> {
  const faulty = activeFault('no-space') !== undefined
  const marked = isMarked('middle') || faulty
  // A copy that is to be caught in the middle must not be over before one looks.
  const rate = marked ? ['-r', String(Math.max(512, Math.ceil(size / 2)))] : []
  const formats = ['-f', source.format, '-O', target.format]
  const files = [source.path, target.path]
  const killer = new AbortController()
  let written = 0
  let passed: Promise<void> | undefined
  const ended = await run(
    ['/usr/bin/qemu-img', 'convert', '-p', '-n', '--target-is-zero', ...rate, ...formats, ...files],
    {
      signal: killer.signal,
      onOutput: (text) => {
        for (const [, percent = ''] of text.matchAll(/\((\S+)\/100%\)/g)) {
          written = (size * Number(percent)) / 100
          if (!quiet) say(`transferred ${binary(written)} of ${binary(size)} (${percent}%)`)
          if (!marked || Number(percent) < 20) continue
          if (faulty) killer.abort()
          else passed ??= passMoment('middle')
        }
      },
    },
  )
  await passed
  if (faulty) err(`qemu-img: error while writing at byte ${Math.floor(written)}: No space left on device\n`)
  else if (ended.stderr !== '') err(ended.stderr)
  if (faulty || ended.status !== 0) {
    const command = [
      '/usr/bin/qemu-img',
      'convert',
      '-p',
      '-n',
      ...formats,
      source.path,
      `zeroinit:${target.path}`,
    ]
    throw new PveError(
      `copy failed: command '${command.join(' ')}' failed: exit code ${faulty ? 1 : ended.status}`,
    )
  }
  await corrupt(target)
}

/** A fault that a test may request: a byte that differs from the source. */
async function corrupt({ path, format }: Image): Promise<void> {
  const fault = activeFault('corrupt')
  if (fault === undefined) return
  if (format === 'raw') {
    const fd = openSync(path, 'r+')
    writeSync(fd, Buffer.from([0x5a]), 0, 1, fault.offset)
    closeSync(fd)
    return
  }
  await run(['/usr/bin/qemu-io', '-f', format, '-c', `write -P 0x5a ${fault.offset} 1`, path])
}

/** Bytes as `64.0 MiB`. */
function binary(bytes: number): string {
  let value = bytes
  let unit = 'B'
  for (const next of ['KiB', 'MiB', 'GiB', 'TiB']) {
    if (value < 1024) break
    value /= 1024
    unit = next
  }
  return `${value.toFixed(1)} ${unit}`
}
