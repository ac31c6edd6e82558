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

  /** @param streams the serial port, and QEMU's error output */
  constructor(...streams: readonly Readable[]) {
    this.listen(...streams)
  }

  /** Continues with a VM that was started again: forgets all lines; pending waits continue. */
  restart(...streams: readonly Readable[]): void {
    this.lines.length = 0
    this.began = performance.now()
    this.listen(...streams)
  }

  /** Calls `seen` once, for the first line that `matches`. */
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

  /** Makes pending waits fail, because the VM has ended. */
  end(): void {
    this.ended = true
    for (const ending of this.endings) ending()
  }

  /**
   * The first line of the console that matches, past or future.
   * @throws SeederError when there is none within the time, the VM ends, or the boot fails for good
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
      ms: Math.round(performance.now() - this.began),
      text: stripVTControlCharacters(text).replaceAll('\r', ''),
    }
    this.lines.push(line)
    for (const listener of this.listeners) listener(line)
  }
}
