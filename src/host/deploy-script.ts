import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import { SeederError, StoppedError, UsageError } from '../report/error.ts'
import type { Argv } from './commands.ts'

/** Where `scripts/runner.sh` puts deploy.sh: the one program that sudo lets a runner start. */
export const INSTALLED_SCRIPT = '/usr/local/lib/seeder/deploy.sh'

/**
 * How deploy.sh is started: as root directly, by anybody else through sudo, which needs no password.
 * @param named a script to run instead of the installed one
 * @param checkout the checkout of this program, whose script root may use where none is installed
 */
export function deployScript(
  named: string | undefined,
  checkout: string,
  isRoot = process.getuid?.() === 0,
  exists: (path: string) => boolean = existsSync,
): Argv {
  if (!isRoot) return ['sudo', '-n', named ?? INSTALLED_SCRIPT]
  const script = named ?? [INSTALLED_SCRIPT, join(checkout, 'scripts/deploy.sh')].find(exists)
  if (script !== undefined) return [script]
  throw new UsageError(`deploy.sh is neither at ${INSTALLED_SCRIPT} nor in ${checkout}/scripts`, {
    fix: 'name it with --deploy-script, or install it with scripts/runner.sh',
  })
}

/** No variable of ours is passed on, above all no token; deploy.sh ignores its environment anyway. */
const environment = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C.UTF-8' }

/**
 * Checks, before anything is downloaded, that sudo lets this user start deploy.sh.
 * @throws SeederError when sudo refuses or is not installed
 */
export async function requireSudo([program, ...rest]: Argv): Promise<void> {
  if (program !== 'sudo') return
  const [, script = INSTALLED_SCRIPT] = rest
  const child = spawn(program, ['-n', '-l', script], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: environment,
  })
  const ended = new Promise<number | null>((resolve, reject) => {
    child.on('error', (cause) => reject(startFailure(program, cause)))
    child.on('close', resolve)
  })
  const [said, code] = await Promise.all([text(child.stderr), ended])
  if (code !== 0) throw sudoRefusal(said.trim().split('\n')[0] || `sudo: ${script} is not allowed`)
}

function sudoRefusal(said: string): SeederError {
  return new SeederError(`deploy.sh could not be started: ${said}`, {
    fix: 'install the runner with scripts/runner.sh, which lets its user start deploy.sh; or run it as root',
  })
}

function startFailure(program: string, cause: unknown): SeederError {
  return new SeederError(
    `${program} could not be started: ${cause instanceof Error ? cause.message : cause}`,
    {
      fix: program === 'sudo' ? 'install sudo, or run it as root' : 'name the script with --deploy-script',
      cause,
    },
  )
}

/**
 * Runs deploy.sh and returns its standard output. `note` gets each line of standard error.
 * @throws SeederError with deploy.sh's own message when it fails; StoppedError when `signal` ended it
 */
export async function runDeployScript(
  argv: Argv,
  { note, signal }: { note: (line: string) => void; signal: AbortSignal },
): Promise<string> {
  signal.throwIfAborted()
  const [program, ...rest] = argv
  const child = spawn(program, rest, { stdio: ['ignore', 'pipe', 'pipe'], env: environment, cwd: '/' })
  const reported: string[] = []
  const stop = () => requestStop(child, note)
  signal.addEventListener('abort', stop)
  try {
    const lines = createInterface({ input: child.stderr, crlfDelay: Number.POSITIVE_INFINITY })
    lines.on('line', (line) => {
      reported.push(line)
      if (line.trim() !== '') note(line)
    })
    const closed = new Promise<number | null>((resolve, reject) => {
      child.on('error', reject)
      child.on('close', resolve)
    })
    const [printed, code] = await Promise.all([text(child.stdout), closed])
    if (code === 0) return printed
    if (signal.aborted) {
      throw new StoppedError(
        `stopped; ${reported.findLast((line) => line.startsWith('deploy: ')) ?? 'deploy.sh has ended'}`,
      )
    }
    throw deployFailure(reported, code)
  } catch (error) {
    if (error instanceof SeederError) throw error
    throw startFailure(program, error)
  } finally {
    signal.removeEventListener('abort', stop)
  }
}

/** deploy.sh undoes what it has begun when it gets a signal. Through sudo it gets none. */
function requestStop({ pid }: ChildProcess, note: (line: string) => void): void {
  // It could not be started.
  if (pid === undefined) return
  try {
    process.kill(pid, 'SIGTERM')
    note('deploy.sh is requested to stop')
  } catch {
    note('deploy.sh runs as root and goes on; it is waited for')
  }
}

/** The error that deploy.sh printed: its `deploy: …` line and the `→ …` line below it. */
export function deployFailure(printed: readonly string[], code: number | null): SeederError {
  const index = printed.findIndex((line) => line.startsWith('deploy: '))
  const sudo = printed.find((line) => line.startsWith('sudo: '))
  if (index < 0 && sudo !== undefined) return sudoRefusal(sudo)
  if (index < 0) {
    return new SeederError(
      `deploy.sh ended with ${code ?? 'a signal'} and said: ${printed.at(-1)?.trim() ?? 'nothing'}`,
      { fix: 'deploy.sh --recover finishes or takes back what it had begun; every other run does so first' },
    )
  }
  const [, fix] = /^ *→ (.*)$/.exec(printed[index + 1] ?? '') ?? []
  return new SeederError(printed[index]?.trim() ?? '', fix === undefined ? {} : { fix })
}

/** The policy of deploy.sh. Only root may change it, everybody may read it. */
export const DEPLOY_CONF = '/etc/seeder/deploy.conf'
/** The part of deploy.sh's policy that can be read before it runs. deploy.sh itself decides. */
export interface DeployPolicy {
  /** The only storage that templates may go to; undefined when the policy names none. */
  readonly storage: string | undefined
  /** The file of those who may sign images. */
  readonly allowedSigners: string
  readonly allowUnsigned: boolean
}

/** The policy of this host; deploy.sh's own default where there is no such file. Undefined when it cannot be read. */
export async function readDeployPolicy(file = DEPLOY_CONF): Promise<DeployPolicy | undefined> {
  try {
    return parseDeployPolicy(await readFile(file, 'utf8'))
  } catch (error) {
    const isAbsent = error instanceof Error && 'code' in error && error.code === 'ENOENT'
    return isAbsent ? parseDeployPolicy('') : undefined
  }
}

/** KEY=value lines, as deploy.sh reads them: the first one of a key that has a value counts. */
export function parseDeployPolicy(text: string): DeployPolicy {
  const settingOf = (key: string) => new RegExp(`^${key}=([^\\r\\n]+)`, 'm').exec(text)?.[1]
  return {
    storage: settingOf('STORAGE'),
    allowedSigners: settingOf('ALLOWED_SIGNERS') ?? '/etc/seeder/allowed_signers',
    allowUnsigned: settingOf('ALLOW_UNSIGNED') === '1',
  }
}
