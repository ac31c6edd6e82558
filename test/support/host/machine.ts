import { constants } from 'node:fs'
import { access, mkdir, mkdtemp, readdir, readFile, rm, rmdir } from 'node:fs/promises'
import { tmpdir, userInfo } from 'node:os'
import path from 'node:path'
import { execa, type Options, type Result } from 'execa'
import { TestAuthority } from '../../../src/boot-test/certificates.ts'

const CHECKOUT = path.resolve(import.meta.dirname, '../../..')
const HOSTS = ['api.github.com', 'github.com', 'release-assets.githubusercontent.com']
const ENVIRONMENT = ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', 'HOME=/root']

/** What a command on a machine left; it is not an error when it did not exit with 0. */
export type Ran = Result<{ all: true; reject: false }>

/**
 * A machine of its own to install things on: namespaces with this machine's /usr, an own /etc and /var, only a loopback
 * network, and the real systemd as process 1 (machine.sh). What is done in it does not reach the real one.
 */
export class Machine {
  /** A folder that the machine sees as /shared. */
  readonly shared: string
  readonly #folder: string
  readonly #outer: AbortController
  readonly #init: number
  readonly #group: string | undefined

  private constructor(folder: string, outer: AbortController, init: number, group: string | undefined) {
    this.#folder = folder
    this.shared = path.join(folder, 'shared')
    this.#outer = outer
    this.#init = init
    this.#group = group
  }

  /** @throws Error where this user can have no such machine, with what is missing */
  static async boot(): Promise<Machine> {
    const folder = await mkdtemp(path.join(tmpdir(), 'seeder-machine-'))
    const [root, shared] = ['root', 'shared'].map((name) => path.join(folder, name)) as [string, string]
    for (const one of [root, shared]) await mkdir(one)
    const authority = await TestAuthority.make('authority', shared)
    await authority.issue('server', { commonName: 'github.com', dnsNames: HOSTS, usages: ['serverAuth'] })

    const group = await ownControlGroup()
    const outer = new AbortController()
    const words = [
      ...(group === undefined ? DELEGATED : ['sh', '-c', 'echo $$ >"$0/cgroup.procs" && exec "$@"', group]),
      'setpriv',
      '--pdeathsig',
      'KILL',
      '--',
      'sh',
      '-c',
      MAPPED,
      'sh',
      (await idMap('/etc/subuid')).join(' '),
      (await idMap('/etc/subgid')).join(' '),
      'unshare',
      '--mount',
      '--pid',
      '--net',
      '--ipc',
      '--uts',
      '--cgroup',
      '--fork',
      '--kill-child',
      '--',
      path.join(import.meta.dirname, 'machine.sh'),
      root,
      CHECKOUT,
      shared,
    ]
    const [program = '', ...argv] = words
    const running = execa(program, argv, {
      stdin: 'ignore',
      reject: false,
      all: true,
      cancelSignal: outer.signal,
      forceKillAfterDelay: false,
      killSignal: 'SIGKILL',
    })
    const ended = running.then(({ all }) => {
      throw new Error(`a machine of the tests did not start: ${all}\n  → ${NEEDS}`)
    })
    // Its end is of interest only while it starts.
    ended.catch(() => {})
    try {
      const init = await Promise.race([processOne(running.pid ?? 0), ended])
      const machine = new Machine(folder, outer, init, group)
      await Promise.race([machine.#started(), ended])
      return machine
    } catch (error) {
      outer.abort()
      await rm(folder, { recursive: true, force: true })
      throw error
    }
  }

  async #started(): Promise<void> {
    for (;;) {
      const { stdout } = await this.run(['systemctl', 'is-system-running', '--wait'])
      if (stdout === 'running') break
      if (stdout === 'degraded') throw new Error((await this.run(['systemctl', '--failed'])).all)
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    await this.run(['umount', '--lazy', '/proc/sys'])
  }

  /** Runs a command as root of the machine, or as another of its users, in its root folder and a bare environment. */
  run(argv: readonly string[], options: Options & { user?: string } = {}): Promise<Ran> {
    const { user, ...rest } = options
    // Not --all: a normal user may not enter the time namespace, which is everybody's.
    const namespaces = ['--user', '--mount', '--pid', '--net', '--ipc', '--uts', '--cgroup']
    const entered = ['--target', String(this.#init), ...namespaces, '--']
    const become = user === undefined ? [] : ['runuser', '-u', user, '--']
    return execa('nsenter', [...entered, 'env', '-i', '--chdir=/', ...ENVIRONMENT, ...become, ...argv], {
      stdin: 'ignore',
      ...rest,
      reject: false,
      all: true,
    }) as Promise<Ran>
  }

  /** Runs a line of bash as root; its further arguments are $1 and so on. */
  bash(line: string, ...argv: readonly string[]): Promise<Ran> {
    return this.run(['bash', '-c', line, 'bash', ...argv])
  }

  /** The same, and what it prints; rejects when it fails. */
  async read(line: string, ...argv: readonly string[]): Promise<string> {
    const { exitCode, stdout, all } = await this.bash(line, ...argv)
    if (exitCode !== 0) throw new Error(`${line}: ${exitCode}: ${all}`)
    return String(stdout)
  }

  /** Waits until a line of bash succeeds. */
  async until(line: string, ...argv: readonly string[]): Promise<void> {
    const deadline = Date.now() + 120_000
    for (;;) {
      const { exitCode, all } = await this.bash(line, ...argv)
      if (exitCode === 0) return
      if (Date.now() > deadline) {
        throw new Error(`${line}: still ${exitCode}: ${all}\n${(await this.bash('journalctl -n 60')).stdout}`)
      }
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#outer.abort()
    await rm(this.#folder, { recursive: true, force: true, maxRetries: 20 })
    if (this.#group !== undefined) await removeControlGroup(this.#group)
  }
}

const NEEDS =
  'it needs root, or a user with a service manager of its own (systemd-run --user), with subordinate ids: scripts/setup.sh'

/** Where the calling user's own service manager gives a control group to a command. */
const DELEGATED = [
  'systemd-run',
  '--user',
  '--scope',
  '--quiet',
  '--collect',
  '--property=Delegate=yes',
  '--',
]

/**
 * Becomes root of a new user namespace, and there the command after the two maps. The maps are written by a process that
 * stays outside: it waits for the namespace, and the namespace for it.
 */
const MAPPED = `
uids=$1 gids=$2; shift 2
outside=$(readlink /proc/self/ns/user)
(
  until [ "$(readlink /proc/$$/ns/user)" != "$outside" ]; do sleep 0.01; done
  newuidmap $$ $uids && newgidmap $$ $gids
) &
exec unshare --user -- sh -c 'until [ "$(id -u)" = 0 ] && [ "$(id -g)" = 0 ]; do sleep 0.01; done; exec "$@"' sh "$@"
`

const SYSTEM_IDS = 50_000
/** The first subordinate ids that the machine hands out, since root of the machine has the 65536 from 100000 on. */
const FIRST_FREE_ID = 165_536

/**
 * The arguments of newuidmap or newgidmap: root is the calling user, and the user's subordinate ids are the machine's
 * system ids, and as many as are left of those that the machine will hand out as subordinate ids.
 */
async function idMap(file: string): Promise<readonly number[]> {
  const { uid, username } = userInfo()
  const entries = (await readFile(file, 'utf8').catch(() => '')).split('\n').map((line) => line.split(':'))
  const found = entries.find(
    ([owner, , count]) => (owner === username || owner === String(uid)) && Number(count) >= 65_536,
  )
  if (found === undefined)
    throw new Error(`${username} has no 65536 subordinate ids in ${file}\n  → scripts/setup.sh`)
  const first = Number(found[1])
  const own = file.endsWith('subgid') ? (process.getgid?.() ?? 0) : uid
  const rest = Number(found[2]) - SYSTEM_IDS
  return [0, own, 1, 1, first, SYSTEM_IDS, FIRST_FREE_ID, first + SYSTEM_IDS, rest]
}

let machines = 0

/** A new control group below this process's own, in the unified hierarchy; undefined where this user may not make one. */
async function ownControlGroup(): Promise<string | undefined> {
  const mounted = (await readFile('/proc/self/mounts', 'utf8')).match(/^\S+ (\S+) cgroup2 /m)?.[1]
  const own = (await readFile('/proc/self/cgroup', 'utf8')).match(/^0::(.*)$/m)?.[1]
  if (mounted === undefined || own === undefined) return undefined
  const parent = path.join(mounted, own)
  const writable = await access(path.join(parent, 'cgroup.procs'), constants.W_OK).then(
    () => true,
    () => false,
  )
  if (!writable) return undefined
  const group = path.join(parent, `seeder-test-${process.pid}-${machines++}`)
  await mkdir(group)
  return group
}

/** Its processes have been killed, and are gone in a moment. */
async function removeControlGroup(group: string): Promise<void> {
  for (const entry of await readdir(group, { withFileTypes: true })) {
    if (entry.isDirectory()) await removeControlGroup(path.join(group, entry.name))
  }
  for (let attempt = 0; ; attempt++) {
    try {
      return await rmdir(group)
    } catch (error) {
      if (attempt === 100) throw error
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }
}

/** The child of unshare that has become systemd; unshare has other children for a moment, which write the id maps. */
async function processOne(parent: number): Promise<number> {
  for (;;) {
    const children = await readFile(`/proc/${parent}/task/${parent}/children`, 'utf8').catch(() => '')
    for (const child of children.split(' ').filter((word) => word !== '')) {
      const name = await readFile(`/proc/${child}/comm`, 'utf8').catch(() => '')
      if (name === 'systemd\n') return Number(child)
    }
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}
