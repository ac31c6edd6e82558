import { harmless } from './print.ts'
import { oneLine } from './printable.ts'

/** Reports the progress of a long command: a terminal gets one line that is rewritten, a pipe a line per phase. */
export interface Progress {
  /** Begins a phase, and ends the current one with its duration. */
  phase(name: string): void
  /** Prints a line below the phase. */
  note(text: string): void
  /** Shows the bytes of the current phase, such as a download. */
  bytes(label: string, done: number, total: number): void
  /** Ends the last phase. */
  done(): void
  /** Ends the line of the current phase, so that an error can be printed below it. */
  stop(): void
  /** Milliseconds per finished phase, in order. */
  readonly timings: Readonly<Record<string, number>>
}

/** How an operation reports its progress, and the signal that ends it. */
export interface RunContext {
  readonly progress: Progress
  readonly signal: AbortSignal
}

interface Terminal {
  write(text: string): unknown
  readonly isTTY?: boolean
}

/** `out` is standard error by default: standard output is for results. */
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
