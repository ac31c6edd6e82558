import { spawn } from 'node:child_process'
import { PveError } from './failure.ts'
import { err, out } from './output.ts'

/** How a program ended. */
export interface Ended {
  readonly status: number
  readonly stdout: string
  readonly stderr: string
}

/** Set when this process got a signal to end: children are killed, and the work is undone. */
const interruption = new AbortController()

/** Makes SIGTERM, SIGINT and SIGQUIT end what runs now, instead of this process at once. */
export function catchInterruptions(): void {
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGQUIT'] as const)
    process.on(signal, () => interruption.abort())
}

/** Whether this process got a signal to end. */
export function isInterrupted(): boolean {
  return interruption.signal.aborted
}

export interface ProgramOptions {
  readonly input?: string | Buffer
  /** Called with every piece of standard output instead of collecting it. */
  readonly onOutput?: (text: string) => void
  /** Kills it. */
  readonly signal?: AbortSignal
}

/**
 * Runs a program to its end, whatever its status.
 * @throws PveError when it is not there, or when this process got a signal to end
 */
export async function run(argv: readonly string[], options: ProgramOptions = {}): Promise<Ended> {
  const [program = '', ...rest] = argv
  const child = spawn(program, rest, {
    stdio: ['pipe', 'pipe', 'pipe'],
    signal: AbortSignal.any([interruption.signal, ...(options.signal === undefined ? [] : [options.signal])]),
    killSignal: 'SIGKILL',
  })
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
    options.onOutput?.(text)
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  child.stdin.on('error', () => undefined)
  child.stdin.end(options.input ?? '')
  return new Promise((resolve, reject) => {
    child.on('error', (error) => {
      if (error.name !== 'AbortError') reject(new PveError(`unable to run '${program}': ${error.message}`))
    })
    child.on('close', (status) => {
      if (interruption.signal.aborted) reject(new Interrupted(argv))
      else resolve({ status: status ?? 255, stdout, stderr })
    })
  })
}

/** Runs a program and passes on what it prints. Its exit status. */
export async function runAloud(argv: readonly string[]): Promise<number> {
  const ended = await run(argv)
  if (ended.stdout !== '') out(ended.stdout)
  if (ended.stderr !== '') err(ended.stderr)
  return ended.status
}

class Interrupted extends PveError {
  constructor(argv: readonly string[]) {
    super(`command '${argv.join(' ')}' failed: interrupted by signal Interrupted system call`)
  }
}
