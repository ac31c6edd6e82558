import type { Readable } from 'node:stream'
import { stripVTControlCharacters } from 'node:util'
import { SeederError } from '../report/error.ts'
import { type ConsoleLine, isFatal } from './console-failures.ts'

/** Listens to a VM's serial console. */
export class Console {
  readonly lines: ConsoleLine[] = []
  private began = performance.now()
  private readonly listeners = new Set<(line: ConsoleLine) => void>()
  private readonly endings = new Set<() => void>()
  private ended = false

  /** @param streams the serial port, and whatever else belongs into the same log, such as QEMU's complaints */
  constructor(...streams: readonly Readable[]) {
    this.listen(...streams)
  }

  /** Listens to a VM that was started again, as if there had been no other. Whoever waits for a line goes on waiting. */
  restart(...streams: readonly Readable[]): void {
    this.lines.length = 0
    this.began = performance.now()
    this.listen(...streams)
  }

  /** Calls back once when a line is seen that `matches`. */
  once(matches: (text: string) => boolean, seen: () => void): void {
    const listener = ({ text }: ConsoleLine) => {
      if (!matches(text)) return
      this.listeners.delete(listener)
      seen()
    }
    this.listeners.add(listener)
  }

  private listen(...streams: readonly Readable[]): void {
    for (const stream of streams) {
      let rest = ''
      stream.setEncoding('utf8')
      stream.on('data', (text: string) => {
        const parts = (rest + text).split(/\r*\n/)
        rest = parts.pop() ?? ''
        for (const part of parts) this.add(part)
      })
    }
  }

  private get lastLine(): string {
    return (
      this.lines
        .findLast(({ text }) => text.trim() !== '')
        ?.text.trim()
        .slice(0, 160) ?? '(none)'
    )
  }

  /** The VM is gone: whoever still waits for a line is told. */
  end(): void {
    this.ended = true
    for (const ending of this.endings) ending()
  }

  /** Milliseconds since the VM was started. */
  get elapsedMs(): number {
    return performance.now() - this.began
  }

  /**
   * The first line that matches, from the beginning of the console on.
   * @throws SeederError when it does not come within the time, the VM ends, or it can be seen that it never will
   */
  async waitFor(pattern: RegExp, what: string, timeoutMs: number): Promise<ConsoleLine> {
    const present = this.lines.find(({ text }) => pattern.test(text))
    if (present) return present
    const { promise, resolve, reject } = Promise.withResolvers<ConsoleLine>()
    const fail = (found: string) =>
      reject(new SeederError(`waited on the console for ${what}; ${found}`, { fix: 'read the console log' }))
    const ending = () => fail(`the VM ended; its last line: ${this.lastLine}`)
    const listener = (line: ConsoleLine) => {
      if (pattern.test(line.text)) resolve(line)
      else if (isFatal(line.text)) fail(`it said: ${line.text.trim()}`)
    }
    const timer = setTimeout(
      () => fail(`not seen within ${Math.round(timeoutMs / 1000)} s; last line: ${this.lastLine}`),
      timeoutMs,
    )
    this.listeners.add(listener)
    this.endings.add(ending)
    if (this.ended) ending()
    try {
      return await promise
    } finally {
      clearTimeout(timer)
      this.listeners.delete(listener)
      this.endings.delete(ending)
    }
  }

  private add(text: string): void {
    const line = {
      ms: Math.round(this.elapsedMs),
      text: stripVTControlCharacters(text).replaceAll('\r', ''),
    }
    this.lines.push(line)
    for (const listener of this.listeners) listener(line)
  }
}
