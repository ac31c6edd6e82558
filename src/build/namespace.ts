import { execa } from 'execa'
import { aptComplaint } from '../image/apt.ts'
import { interruption } from '../process/interruption.ts'
import { SeederError } from '../report/error.ts'
import { type Enclosure, enclosureScript } from './enclosure.ts'

/** A normal user's PATH often lacks the folders of chroot and mount. */
const HOST_PATH = `${process.env.PATH ?? ''}:/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin`

/** The environment of programs that handle packages: the caller's environment may contain keys. */
export const HOST_ENVIRONMENT = { env: { PATH: HOST_PATH, LC_ALL: 'C.UTF-8' }, extendEnv: false } as const

/**
 * The command line that runs `command` in new namespaces, without network: root there is the calling user here, and other ids
 * are the user's subordinate ones. Every process and mount ends with the first process, which ends with its parent
 * (`--kill-child`, and setpriv's death signal for a parent that is killed).
 */
export function unshareArgv(command: readonly string[]): string[] {
  return [
    'setpriv',
    '--pdeathsig',
    'KILL',
    '--',
    'unshare',
    '--user',
    '--map-root-user',
    '--map-auto',
    '--mount',
    '--pid',
    '--net',
    '--ipc',
    '--uts',
    '--fork',
    '--kill-child',
    '--',
    ...command,
  ]
}

/**
 * Runs a shell script (`sh -eu`, with the programs of the tools tree) inside an enclosure.
 * @param what names the step in errors
 * @returns its standard output
 * @throws SeederError when it fails: with the most useful line of its output, or that the disk is full
 */
export async function runInside(enclosure: Enclosure, what: string, script: string): Promise<string> {
  interruption.throwIfAborted()
  const environment = {
    PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
    HOME: '/root',
    LC_ALL: 'C.UTF-8',
    TZ: 'UTC',
    ...enclosure.env,
  }
  const assignments = Object.entries(environment).map(([key, value]) => `${key}=${value}`)
  const [program = '', ...argv] = unshareArgv([
    'sh',
    '-euc',
    enclosureScript(enclosure),
    'enclosure',
    'env',
    '-i',
    ...assignments,
    'sh',
    '-euc',
    script,
  ])
  const result = await execa(program, argv, {
    reject: false,
    all: true,
    stdin: 'ignore',
    ...HOST_ENVIRONMENT,
    maxBuffer: 64 * 1024 * 1024,
    // The shell is process 1 of its namespace and ignores other signals.
    cancelSignal: interruption,
    killSignal: 'SIGKILL',
  })
  interruption.throwIfAborted()
  if (result.exitCode === 0) return String(result.stdout)
  throw stepFailure(what, String(result.all ?? ''), result.exitCode)
}

/** Deletes folders with files of subordinate ids, which is only allowed inside the same id mapping. */
export async function removeTrees(paths: readonly string[]): Promise<void> {
  if (paths.length === 0) return
  const command = ['unshare', '--user', '--map-root-user', '--map-auto', '--', 'rm', '-rf', '--', ...paths]
  const [program = '', ...argv] = command
  await execa(program, argv, HOST_ENVIRONMENT)
}

/** @throws SeederError when namespaces with subordinate ids do not work on this machine */
export async function requireNamespaces(): Promise<void> {
  // Without subordinate ids first: unshare with --map-auto hangs where the kernel refuses (util-linux 2.38).
  const output =
    (await failureOf(unshareArgv(['true']).filter((word) => word !== '--map-auto'))) ??
    (await failureOf(unshareArgv(['true'])))
  if (output === undefined) return
  const noRange = /subuid|subgid|subordinate|newuidmap|newgidmap|uid range|getsub/i.test(output)
  throw new SeederError(
    `Unprivileged user namespaces do not work here: ${output.trim().split('\n').at(-1) || 'unshare failed'}`,
    {
      fix: noRange
        ? 'this user needs the package uidmap and a range in /etc/subuid and /etc/subgid: run scripts/setup.sh'
        : 'run scripts/setup.sh --check; the kernel must allow them (user.max_user_namespaces, kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns)',
    },
  )
}

/** The output of a failed command; undefined when it succeeds. */
async function failureOf([program = '', ...argv]: readonly string[]): Promise<string | undefined> {
  const ended = await execa(program, argv, { reject: false, all: true, ...HOST_ENVIRONMENT })
  return ended.exitCode === 0 ? undefined : String(ended.all || ended.shortMessage)
}

function stepFailure(what: string, output: string, exitCode: number | undefined): SeederError {
  const lines = output.trim().split('\n')
  if (/No space left on device|ENOSPC/.test(output)) {
    return new SeederError(`${what} failed: no space left on the disk`, {
      fix: 'free some space, or move the cache and the work folder with XDG_CACHE_HOME',
      cause: new Error(output),
    })
  }
  const line =
    // Of our own checks.
    lines.findLast((text) => text.startsWith('error: '))?.slice('error: '.length) ??
    lines.find((text) => /^dpkg: error processing|^dpkg-deb: error/.test(text)) ??
    aptComplaint(output) ??
    lines.find((text) => /\berror: /i.test(text)) ??
    lines.at(-1) ??
    ''
  return new SeederError(`${what} failed (exit ${exitCode ?? 'by signal'}): ${line.trim()}`, {
    fix: 'run again with --verbose for the whole output of the step',
    cause: new Error(output),
  })
}
