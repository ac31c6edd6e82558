import { harmless } from '../report/print.ts'
import { oneLine } from '../report/printable.ts'
import type { Progress } from '../report/progress.ts'
import { formatBytes, formatDuration } from '../report/table.ts'

/** The log of a step gets a line about a download or upload at most so often. */
const BYTES_EVERY_MS = 5_000

/** Milliseconds of some clock that does not go back. */
type Clock = () => number

/**
 * Progress in the log of a workflow's step: each phase is a group that can be folded, and below it stands how long it
 * took. `write` takes whole lines, to standard output: there the runner looks for its commands.
 */
export function createStepProgress(
  write: (line: string) => void,
  now: Clock = () => performance.now(),
): Progress {
  const timings: Record<string, number> = {}
  let current: { name: string; started: number } | undefined
  let told = now()
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
      // What is done sooner needs no line.
      told = now()
      write(`::group::${name}`)
    },
    note(text) {
      write(harmless(text))
    },
    bytes(label, done, total) {
      if (now() - told < BYTES_EVERY_MS) return
      told = now()
      write(harmless(`${label}: ${formatBytes(done)} of ${formatBytes(total)}`))
    },
    done: close,
    stop() {
      if (current) write('::endgroup::')
      current = undefined
    },
  }
}
