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
  /** Runs a command and returns how it ended, whatever that was. */
  run(argv: Argv, options?: RunOptions): Promise<Ended>
  /** Runs a command that has to succeed. What it printed; else a SeederError with its last line. */
  output(argv: Argv, options?: RunOptions): Promise<string>
}

export interface RunOptions {
  /** Milliseconds; without it the command may take as long as it takes. */
  readonly timeoutMs?: number
  /** The command leaves something running, as a virtual machine: it must not keep the lock of this run. */
  readonly outlives?: boolean
}

/** As Proxmox VE's own jobs have it; LC_ALL, as perl complains about a locale that the host does not have. */
const environment = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C.UTF-8' }

/** For the last words of a command that has ended. */
const LAST_OUTPUT_MS = 500

/**
 * The host's commands. `lock` is the open lock of this run, which they inherit: when this process is killed, a command
 * that goes on by itself still keeps the next run out.
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
      // What a command leaves running may keep its output open: that end is not waited for.
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

/** Maximum bytes of the reason of a failure. */
const MAX_REASON_BYTES = 500

/** What a failed command says about why. It may be one in a guest: all of it is in sight, on one line. */
export function failureReason({ code, stdout, stderr }: Ended): string {
  const lines = (text: string) => text.split('\n').filter((line) => line.trim() !== '')
  // A wrong option is answered with the reason first, and then how the command is used.
  const usage = /^(400 Parameter verification failed\.|qm |pvesm |pvesh )/
  const said =
    lines(stderr).findLast((line) => !usage.test(line)) ?? lines(stdout).at(-1) ?? `exit status ${code}`
  // A job says how its tool ended, and the tool itself, among the progress, what was wrong.
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
 * Refuses early where the commands cannot work.
 * @param what the command that was called
 * @throws UsageError for anybody but root
 */
export function requireRoot(what = 'seeder node'): void {
  if (process.getuid?.() === 0) return
  throw new UsageError(`\`${what}\` has to be run by root, on the Proxmox VE host itself`, {
    fix: 'log in on the host as root, and run it there',
  })
}

/** One run of `seeder node` at a time changes anything on a host. */
export const NODE_LOCK = '/run/lock/seeder-node.lock'
/**
 * Takes the lock for `work`, which gets the open file. The lock is the kernel's, on the open file: it goes when the last
 * process that has it open ends, however that happens, and a command that inherited it keeps it until then.
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
