import type { Duplex } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'
import { anyJson, checkJson, parseJson } from '../files/json.ts'
import { SeederError } from '../report/error.ts'

/** The result of a command in the guest. */
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

// The agent answers every synchronisation in its port, so that it may be repeated while the agent starts.
const FIRST_SYNC_MS = 2000
const REPLY_TIMEOUT_MS = 30_000

/** A client of the QEMU guest agent's protocol (qga/qapi-schema.json): one request at a time. */
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

  /** Continues with the port of a VM that was started again. */
  restart(port: Duplex): void {
    this.port = port
    this.forget()
    this.listen(port)
  }

  private listen(port: Duplex): void {
    port.on('data', (chunk: Buffer) => this.receive(chunk))
    // The port closes with the VM, whose owner notices its end.
    port.on('error', () => undefined)
  }

  /**
   * Waits until the agent answers.
   * @throws SeederError when it does not within the time
   */
  async ready(timeoutMs: number): Promise<void> {
    await this.exclusively(() => this.synchronise(timeoutMs))
  }

  /** Makes the next command synchronise with the agent, as after a restart of the guest. */
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
   * Runs a program that has to succeed and returns its output.
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

  /** Requests the guest to power off. The agent does not answer that. */
  async shutdown(): Promise<void> {
    await this.exclusively(async () => {
      if (!this.synchronised) await this.synchronise(REPLY_TIMEOUT_MS)
      this.send({ execute: 'guest-shutdown', arguments: { mode: 'powerdown' } })
    })
    this.forget()
  }

  private async command(execute: string, args: object): Promise<unknown> {
    return this.exclusively(async () => {
      if (!this.synchronised) await this.synchronise(REPLY_TIMEOUT_MS)
      this.send({ execute, arguments: args })
      const line = await this.nextLine(REPLY_TIMEOUT_MS)
      if (line === undefined) {
        this.forget()
        throw new SeederError(`sent ${execute} to the guest agent; it did not answer`)
      }
      const parsed = parseJson(line, reply)
      if ('error' in parsed) {
        throw new SeederError(`sent ${execute} to the guest agent; it refused: ${parsed.error.desc}`)
      }
      return parsed.return
    })
  }

  /** Skips late answers to earlier requests: the agent marks its answer to a synchronisation. */
  private async synchronise(timeoutMs: number): Promise<void> {
    const deadline = Date.now() + timeoutMs
    this.lines.length = 0
    for (let wait = FIRST_SYNC_MS; Date.now() < deadline; wait *= 1.5) {
      const id = this.nextSync++
      // A byte that is never JSON makes the agent drop an incomplete request.
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
      // 0xff precedes the answer to a delimited synchronisation; the bytes before it are part of an old answer.
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
