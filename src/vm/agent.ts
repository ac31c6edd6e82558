import type { Duplex } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'
import { anyJson, checkJson, parseJson } from '../files/json.ts'
import { SeederError } from '../report/error.ts'

/** What a command in the guest left behind. */
export interface GuestResult {
  readonly exitCode: number
  readonly stdout: string
  readonly stderr: string
}

const reply = z.union([
  z.object({ return: z.unknown() }),
  z.object({ error: z.object({ class: z.string(), desc: z.string() }) }),
])
const started = z.object({ pid: z.number() })
const status = z.object({
  exited: z.boolean(),
  exitcode: z.number().optional(),
  signal: z.number().optional(),
  'out-data': z.base64().optional(),
  'err-data': z.base64().optional(),
})

// The agent answers every synchronisation it finds in its port, so asking again while it starts does no harm.
const firstSyncMs = 2000
const replyTimeoutMs = 30_000

/** Speaks the QEMU guest agent's protocol (qga/qapi-schema.json) over its port: one request at a time. */
export class GuestAgent {
  private port: Duplex
  private buffer = Buffer.alloc(0)
  private readonly lines: string[] = []
  private waiting: (() => void) | undefined
  private queue: Promise<unknown> = Promise.resolve()
  private synchronised = false
  private nextSync = Date.now() % 1_000_000_000

  constructor(port: Duplex) {
    this.port = port
    this.listen(port)
  }

  /** Goes on with the port of a VM that was started again. */
  restart(port: Duplex): void {
    this.port = port
    this.forget()
    this.listen(port)
  }

  private listen(port: Duplex): void {
    port.on('data', (chunk: Buffer) => this.receive(chunk))
    // The VM's end closes with the VM, which its owner notices by itself.
    port.on('error', () => undefined)
  }

  /**
   * Waits until the agent answers.
   * @throws SeederError when it does not within the time
   */
  async ready(timeoutMs: number): Promise<void> {
    await this.exclusively(() => this.synchronise(timeoutMs))
  }

  /** The next command finds out again where the agent's answers begin, as after a restart of the guest. */
  forget(): void {
    this.synchronised = false
  }

  /**
   * Runs a program in the guest, as `qm guest exec` does.
   * @param argv absolute path first
   * @throws SeederError when the agent refuses, or the program does not end within the time
   */
  async exec(
    argv: readonly [string, ...string[]],
    options: { input?: string; timeoutMs?: number } = {},
  ): Promise<GuestResult> {
    const [path, ...arg] = argv
    const deadline = Date.now() + (options.timeoutMs ?? 60_000)
    const input = options.input === undefined ? {} : { 'input-data': toBase64(options.input) }
    const { pid } = checkJson(
      await this.command('guest-exec', { path, arg, 'capture-output': true, ...input }),
      started,
    )
    for (let wait = 50; Date.now() < deadline; wait = Math.min(wait * 2, 800)) {
      await sleep(wait)
      const now = checkJson(await this.command('guest-exec-status', { pid }), status)
      if (!now.exited) continue
      return {
        exitCode: now.exitcode ?? 128 + (now.signal ?? 0),
        stdout: fromBase64(now['out-data']),
        stderr: fromBase64(now['err-data']),
      }
    }
    throw new SeederError(
      `ran ${argv.join(' ')} in the guest; it did not end within ${options.timeoutMs ?? 60_000} ms`,
    )
  }

  /**
   * Runs a program that has to succeed and returns what it wrote.
   * @throws SeederError with its error output when its exit status is not 0
   */
  async output(argv: readonly [string, ...string[]], input?: string): Promise<string> {
    const result = await this.exec(argv, input === undefined ? {} : { input })
    if (result.exitCode === 0) return result.stdout
    const words = (result.stderr || result.stdout).trim().split('\n').slice(-3).join(' / ')
    throw new SeederError(`ran ${argv.join(' ')} in the guest; it ended with ${result.exitCode}: ${words}`)
  }

  /** Runs a shell script in the guest; it has to succeed. */
  async shell(script: string): Promise<string> {
    return this.output(['/bin/bash', '-euc', script])
  }

  /** Asks the guest to power off. It gives no answer to that. */
  async shutdown(): Promise<void> {
    await this.exclusively(async () => {
      if (!this.synchronised) await this.synchronise(replyTimeoutMs)
      this.send({ execute: 'guest-shutdown', arguments: { mode: 'powerdown' } })
    })
    this.forget()
  }

  private async command(execute: string, args: object): Promise<unknown> {
    return this.exclusively(async () => {
      if (!this.synchronised) await this.synchronise(replyTimeoutMs)
      this.send({ execute, arguments: args })
      const line = await this.nextLine(replyTimeoutMs)
      if (line === undefined) {
        this.forget()
        throw new SeederError(`asked the guest agent for ${execute}; it did not answer`)
      }
      const parsed = parseJson(line, reply)
      if ('error' in parsed) {
        throw new SeederError(`asked the guest agent for ${execute}; it refused: ${parsed.error.desc}`)
      }
      return parsed.return
    })
  }

  /** Answers to earlier, abandoned questions may still arrive; the agent's marks tell them apart. */
  private async synchronise(timeoutMs: number): Promise<void> {
    const deadline = Date.now() + timeoutMs
    this.lines.length = 0
    for (let wait = firstSyncMs; Date.now() < deadline; wait *= 1.5) {
      const id = this.nextSync++
      // A byte that is never JSON makes the agent drop half a request it may still hold.
      this.port.write(Buffer.from([0xff]))
      this.send({ execute: 'guest-sync-delimited', arguments: { id } })
      const until = Math.min(Date.now() + wait, deadline)
      while (Date.now() < until) {
        const line = await this.nextLine(until - Date.now())
        if (line === undefined || !isSync(line, id)) continue
        this.synchronised = true
        return
      }
    }
    throw new SeederError(
      `waited for the guest agent; it did not answer within ${Math.round(timeoutMs / 1000)} s`,
      {
        fix: 'read the console log: the guest did not start, or qemu-guest-agent is not running in it',
      },
    )
  }

  private send(message: object): void {
    this.port.write(`${JSON.stringify(message)}\n`)
  }

  private receive(chunk: Buffer): void {
    this.buffer = Buffer.concat([this.buffer, chunk])
    for (let end = this.buffer.indexOf(10); end >= 0; end = this.buffer.indexOf(10)) {
      const line = this.buffer.subarray(0, end)
      this.buffer = this.buffer.subarray(end + 1)
      // 0xff announces the answer to a delimited synchronisation; what is before it belongs to nobody.
      this.lines.push(line.subarray(line.lastIndexOf(0xff) + 1).toString())
    }
    if (this.lines.length > 0) this.waiting?.()
  }

  private async nextLine(timeoutMs: number): Promise<string | undefined> {
    if (this.lines.length === 0) {
      const { promise, resolve } = Promise.withResolvers<void>()
      const timer = setTimeout(resolve, timeoutMs)
      this.waiting = resolve
      await promise
      clearTimeout(timer)
      this.waiting = undefined
    }
    return this.lines.shift()
  }

  private exclusively<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.queue.then(work)
    this.queue = turn.catch(() => undefined)
    return turn
  }
}

function isSync(line: string, id: number): boolean {
  return z.object({ return: z.literal(id) }).safeParse(anyJson(line)).success
}

function toBase64(text: string): string {
  return Buffer.from(text).toString('base64')
}

function fromBase64(text: string | undefined): string {
  return Buffer.from(text ?? '', 'base64').toString()
}
