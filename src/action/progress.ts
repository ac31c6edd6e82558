import { harmless } from '../report/print.ts'
import { oneLine } from '../report/printable.ts'
import type { Progress } from '../report/progress.ts'
import { formatBytes, formatDuration } from '../report/table.ts'

/** The minimum time between two lines about a transfer. */
const BYTES_EVERY_MS = 5_000

/**
 * Progress in the log of a workflow step: each phase is a group, followed by its duration.
 * @param write writes a line to standard output, where the runner reads its commands
 * @param now milliseconds of a monotonic clock
 */
export function createStepProgress(
  write: (line: string) => void,
  now: () => number = () => performance.now(),
): Progress {
  const timings: Record<string, number> = {}
  let current: { name: string; started: number } | undefined
  let lastLine = now()
  const close = () => {
    if (!current) return
    const ms = now() - current.started
    timings[current.name] = (timings[current.name] ?? 0) + ms
    write('::endgroup::')
    write(harmless(`${current.name}: ${formatDuration(ms)}`))
    current = undefined
  }
  return {
    timings,
    phase(phase) {
      close()
      const name = oneLine(phase)
      current = { name, started: now() }
      // A short transfer needs no line.
      lastLine = now()
      write(`::group::${name}`)
    },
    note(text) {
      write(harmless(text))
    },
    bytes(label, done, total) {
      if (now() - lastLine < BYTES_EVERY_MS) return
      lastLine = now()
      write(harmless(`${label}: ${formatBytes(done)} of ${formatBytes(total)}`))
    },
    done: close,
    stop() {
      if (current) write('::endgroup::')
      current = undefined
    },
  }
}
