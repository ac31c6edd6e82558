import { harmless } from './print.ts'
import { oneLine } from './printable.ts'

/**
 * What a long command tells a person while it runs. On a terminal the current line is rewritten; in a pipe there is
 * one line per phase and nothing that moves.
 */
export interface Progress {
  /** A new phase begins; the one before it is closed with its duration. */
  phase(name: string): void
  /** A line of its own, below the phase. */
  note(text: string): void
  /** `done` of `total` bytes of the current phase, e.g. of a download. */
  bytes(label: string, done: number, total: number): void
  /** Closes the last phase. */
  done(): void
  /** Leaves the line of the phase that runs as it is, so that an error can be told below it. */
  stop(): void
  /** Milliseconds per finished phase, in order. */
  readonly timings: Readonly<Record<string, number>>
}

interface Terminal {
  write(text: string): unknown
  readonly isTTY?: boolean
}

/** Progress for people, on `out` (standard error by default, so that standard output stays for results). */
export function createProgress(
  out: Terminal = process.stderr,
  env: NodeJS.ProcessEnv = process.env,
  quiet = false,
): Progress {
  const live = Boolean(out.isTTY) && env.TERM !== 'dumb'
  const colour = live && !env.NO_COLOR
  const dim = (text: string) => (colour ? `\u001b[2m${text}\u001b[0m` : text)
  const bold = (text: string) => (colour ? `\u001b[1m${text}\u001b[0m` : text)
  const timings: Record<string, number> = {}
  let current: { name: string; started: number; detail: string } | undefined
  let timer: NodeJS.Timeout | undefined

  const elapsed = () => (current ? (Date.now() - current.started) / 1000 : 0)
  const redraw = () => {
    if (!live || !current || quiet) return
    out.write(`\r\u001b[K${bold(current.name)} ${dim(`${elapsed().toFixed(0)} s ${current.detail}`)}`)
  }
  const close = () => {
    if (!current) return
    timings[current.name] = (timings[current.name] ?? 0) + (Date.now() - current.started)
    const line = `${bold(current.name)} ${dim(`${elapsed().toFixed(1)} s`)}`
    if (!quiet) out.write(live ? `\r\u001b[K${line}\n` : `${line}\n`)
    current = undefined
    clearInterval(timer)
  }

  return {
    timings,
    phase(name) {
      close()
      current = { name: oneLine(name), started: Date.now(), detail: '' }
      if (live) {
        timer = setInterval(redraw, 500)
        timer.unref()
        redraw()
      }
    },
    note(note) {
      if (quiet) return
      const text = harmless(note)
      out.write(live ? `\r\u001b[K  ${dim(text)}\n` : `  ${text}\n`)
      redraw()
    },
    bytes(label, done, total) {
      if (current)
        current.detail = `${oneLine(label)} ${Math.round(done / 1e6)} of ${Math.round(total / 1e6)} MB`
      redraw()
    },
    done: close,
    stop() {
      if (live && current && !quiet) out.write('\n')
      current = undefined
      clearInterval(timer)
    },
  }
}
