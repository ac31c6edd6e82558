import { spawn } from 'node:child_process'
import { open } from 'node:fs/promises'
import { tryLock } from '../files/flock.ts'
import { SeederError, UsageError } from '../report/error.ts'
import { bounded, oneLine } from '../report/printable.ts'

/** A command line: a program and its arguments, never a shell's text. */
export type Argv = readonly [string, ...string[]]

/** How a command ended. */
export interface Ended {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** Runs the host's own commands. */
export interface Host {
  /** Runs a command and returns how it ended, whether it succeeded or not. */
  run(argv: Argv, options?: RunOptions): Promise<Ended>
  /**
   * Runs a command and returns what it printed.
   * @throws SeederError with the reason when it fails
   */
  output(argv: Argv, options?: RunOptions): Promise<string>
}

export interface RunOptions {
  /** Milliseconds; without it there is no limit. */
  readonly timeoutMs?: number
  /** The command leaves a process running, such as a virtual machine, which must not hold the lock of this run. */
  readonly outlives?: boolean
}

/** The environment of Proxmox VE's own jobs. LC_ALL, because perl complains about a locale that the host lacks. */
const environment = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C.UTF-8' }

/** Time to read the rest of the output of a command that has ended. */
const LAST_OUTPUT_MS = 500

/**
 * The host's commands. They inherit `lock`, the open lock of this run: when this process is killed, a command that
 * still runs keeps the next run out.
 */
export function hostCommands(lock: number | undefined): Host {
  const run = (argv: Argv, options: RunOptions = {}) =>
    new Promise<Ended>((resolve) => {
      const [program, ...rest] = argv
      const inherited = lock === undefined || options.outlives ? [] : [lock]
      const child = spawn(program, rest, {
        stdio: ['ignore', 'pipe', 'pipe', ...inherited],
        env: environment,
        ...(options.timeoutMs === undefined ? {} : { timeout: options.timeoutMs, killSignal: 'SIGKILL' }),
      })
      const said = { stdout: '', stderr: '' }
      for (const name of ['stdout', 'stderr'] as const) {
        child[name]?.setEncoding('utf8').on('data', (text: string) => {
          said[name] += text
        })
      }
      child.on('error', (error) => resolve({ ...said, code: 127, stderr: error.message }))
      // A process that the command leaves running may keep the output open; its end is not awaited.
      if (options.outlives) {
        child.on('exit', () => {
          const drop = () => [child.stdout, child.stderr].map((output) => output?.destroy())
          setTimeout(drop, LAST_OUTPUT_MS).unref()
        })
      }
      child.on('close', (code, signal) => {
        const stderr = signal === null ? said.stderr : `${said.stderr}ended by ${signal}`
        resolve({ ...said, code: code ?? 255, stderr })
      })
    })
  return {
    run,
    async output(argv, options) {
      const ended = await run(argv, options)
      if (ended.code === 0) return ended.stdout
      throw new SeederError(`${withoutOptions(argv)} failed: ${failureReason(ended)}`)
    },
  }
}

/** Maximum bytes of the reason for a failure. */
const MAX_REASON_BYTES = 500

/** The reason that a failed command printed, as one printable line: the command may have run in a guest. */
export function failureReason({ code, stdout, stderr }: Ended): string {
  const lines = (text: string) => text.split('\n').filter((line) => line.trim() !== '')
  // After a wrong option the usage follows the reason.
  const usage = /^(400 Parameter verification failed\.|qm |pvesm |pvesh )/
  const said =
    lines(stderr).findLast((line) => !usage.test(line)) ?? lines(stdout).at(-1) ?? `exit status ${code}`
  // A job prints how its tool ended; the tool prints the reason among its progress.
  const tool = lines(`${stdout}\n${stderr}`).findLast((line) => line.startsWith('qemu-img: '))
  return bounded(oneLine(tool === undefined || tool === said ? said : `${said} (${tool})`), MAX_REASON_BYTES)
}

/** A command without its options, for a message. */
export function withoutOptions(argv: readonly string[]): string {
  const options = argv.findIndex((word) => word.startsWith('--'))
  return argv.slice(0, options < 0 ? argv.length : options).join(' ')
}

/** A command line as it can be pasted into a shell. */
export function shellWords(argv: readonly string[]): string {
  return argv
    .map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`))
    .join(' ')
}

/**
 * Requires root, without which the commands would fail later.
 * @param what the command that was called
 * @throws UsageError for anybody but root
 */
export function requireRoot(what = 'seeder node'): void {
  if (process.getuid?.() === 0) return
  throw new UsageError(`\`${what}\` has to be run by root, on the Proxmox VE host itself`, {
    fix: 'log in on the host as root, and run it there',
  })
}

/** Only one run of `seeder node` at a time changes a host. */
export const NODE_LOCK = '/run/lock/seeder-node.lock'
/**
 * Runs `work` under the lock, with the open file. The kernel releases the lock when the last process that has the file
 * open ends, even if it is killed; a command that inherited the file holds the lock until then.
 * @throws SeederError when another run has it
 */
export async function withLock<T>(work: (lock: number) => Promise<T>, file = NODE_LOCK): Promise<T> {
  const handle = await open(file, 'a', 0o600).catch((cause: unknown) => {
    throw new SeederError(`The lock ${file} cannot be opened`, { fix: 'run it as root', cause })
  })
  try {
    if (!(await tryLock(handle))) {
      throw new SeederError('Another run of `seeder node` is at work on this host', {
        fix: `wait for it, or see who it is: fuser -v ${file}`,
      })
    }
    return await work(handle.fd)
  } finally {
    await handle.close()
  }
}
