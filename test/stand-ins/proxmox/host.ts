import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { type FileHandle, mkdir, open, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { Faults } from './faults.ts'
import { defaultStorages, furnish, type StorageDefinition } from './furnish.ts'
import { type HostResult, killGroup, outcome, ready, runningHolder } from './host-process.ts'
import { clusterMount, Layout } from './layout.ts'
import { type Bridge, enterArguments, hostScript, unshareArguments } from './namespaces.ts'

export type { HostResult } from './host-process.ts'

/** How a host is made. */
export interface HostSettings {
  /** The first one is this host; the others only have a folder in /etc/pve/nodes. */
  readonly nodes: readonly string[]
  readonly storages: readonly StorageDefinition[]
  readonly bridges: readonly Bridge[]
}

/** The bridges of the platform file that comes with the project. */
const defaultBridges: readonly Bridge[] = [
  { name: 'vmbr0', addresses: ['192.168.3.61/24'] },
  { name: 'vmbr1', addresses: ['192.168.1.253/24'] },
  ...['vmbr11', 'vmbr12', 'vmbr13', 'vmbr14'].map((name) => ({ name, addresses: [] })),
]

const defaultSettings: HostSettings = {
  nodes: ['pve1'],
  storages: defaultStorages,
  bridges: defaultBridges,
}

export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>
  readonly input?: string
  /** After it the command's process group is killed. */
  readonly timeoutMs?: number
  readonly cwd?: string
}

/** What a shell of root's has on a Proxmox host. */
const environment = {
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  HOME: '/root',
  USER: 'root',
  LOGNAME: 'root',
  LANG: 'C.UTF-8',
}

// With the flag that keeps a template's disk as it is.
const copyScript = `cp -a --sparse=always -- "$1" "$2"
lsattr -R "$1" 2>/dev/null | while read -r flags file; do
  case $flags in *i*) chattr +i -- "$2\${file#"$1"}" ;; esac
done`

/**
 * A stand-in for a Proxmox VE host: namespaces in which qm, pvesm and pvesh are at their real paths. What it has on
 * disk is in its state folder and survives `powerCut`; its processes and /run do not.
 */
export class PveHost {
  readonly folder: string
  readonly faults: Faults
  private readonly layout: Layout
  private readonly settings: HostSettings
  private readonly asRoot = process.getuid?.() === 0
  private holder: number | undefined
  private holding: { child: ChildProcess; power: FileHandle } | undefined

  private constructor(folder: string, settings: HostSettings) {
    this.folder = folder
    this.layout = new Layout(folder)
    this.settings = settings
    this.faults = new Faults(this.layout.control)
  }

  /** Makes a host in a new or empty folder. It does not run yet. */
  static async create(folder: string, settings: Partial<HostSettings> = {}): Promise<PveHost> {
    const all = { ...defaultSettings, ...settings }
    const host = new PveHost(resolve(folder), all)
    await mkdir(host.folder, { recursive: true })
    await furnish(host.layout, all.nodes, all.storages)
    await writeFile(host.layout.settings, JSON.stringify(all, null, 2))
    return host
  }

  /** A host of its own, switched off, with everything that this one has on disk. This one has to be off, too. */
  async copy(folder: string): Promise<PveHost> {
    if (this.running) throw new Error(`the stand-in host in ${this.folder} runs`)
    const made = new PveHost(resolve(folder), this.settings)
    await mkdir(dirname(made.folder), { recursive: true })
    await this.onDisk(copyScript, made.folder)
    return made
  }

  /** The host that `create` made in a folder, in this process or in another. */
  static async open(folder: string): Promise<PveHost> {
    const absolute = resolve(folder)
    const settings = JSON.parse(await readFile(new Layout(absolute).settings, 'utf8'))
    const host = new PveHost(absolute, settings)
    host.holder = await runningHolder(host.layout)
    return host
  }

  get running(): boolean {
    return this.holder !== undefined
  }

  get node(): string {
    return this.settings.nodes[0] ?? ''
  }

  /**
   * Switches the host on.
   * @param lasting it goes on when this process ends
   * @throws Error with what the kernel or a program refused
   */
  async start({ lasting = false }: { lasting?: boolean } = {}): Promise<void> {
    if (this.running) throw new Error(`the stand-in host in ${this.folder} runs already`)
    // Opened for reading and writing, a FIFO does not wait for its other end. The end of this process closes it.
    const power = lasting ? undefined : await open(this.layout.power, 'r+')
    const script = hostScript(this.layout, this.node, this.settings.bridges, this.asRoot)
    await writeFile(this.layout.script, script)
    const argv = unshareArguments(this.asRoot, ['/bin/sh', '-eu', this.layout.script])
    const child = spawn('unshare', argv, {
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
      cwd: '/',
      env: environment,
    })
    try {
      this.holder = await ready(child)
    } catch (error) {
      await power?.close()
      throw error
    }
    if (power === undefined) {
      child.stdout?.destroy()
      child.stderr?.destroy()
      child.unref()
      return
    }
    this.holding = { child, power }
    // The end of one is noticed a moment after its power was cut: by then the next one may run.
    const { holder } = this
    child.on('exit', () => {
      if (this.holder === holder) this.holder = undefined
    })
  }

  /** Starts a command on the host, as the leader of a process group of its own. */
  spawn(argv: readonly string[], options: RunOptions = {}): ChildProcess {
    if (this.holder === undefined) throw new Error(`the stand-in host in ${this.folder} is off`)
    const command = ['/usr/bin/env', `--chdir=${options.cwd ?? '/root'}`, '--', ...argv]
    return spawn('nsenter', enterArguments(this.asRoot, this.holder, command), {
      stdio: ['pipe', 'pipe', 'pipe'],
      detached: true,
      cwd: '/',
      env: { ...environment, ...options.env },
    })
  }

  /** Runs a command on the host to its end. What it has started in sessions of their own goes on. */
  async run(argv: readonly string[], options: RunOptions = {}): Promise<HostResult> {
    const child = this.spawn(argv, options)
    // A command that does not read its input, or is killed before, closes it.
    child.stdin?.on('error', () => undefined)
    child.stdin?.end(options.input ?? '')
    const timer =
      options.timeoutMs === undefined ? undefined : setTimeout(() => killGroup(child), options.timeoutMs)
    try {
      return await outcome(child)
    } finally {
      clearTimeout(timer)
    }
  }

  /** Runs a command on the host with this process's terminal or streams. Its exit status. */
  async attach(argv: readonly string[]): Promise<number> {
    if (this.holder === undefined) throw new Error(`the stand-in host in ${this.folder} is off`)
    const child = spawn('nsenter', enterArguments(this.asRoot, this.holder, argv), {
      stdio: 'inherit',
      cwd: '/',
      env: { ...environment, TERM: process.env.TERM ?? 'dumb' },
    })
    return (await outcome(child)).code
  }

  /** Ends everything on the host at once. `start` starts it again. */
  async powerCut(): Promise<void> {
    const { holding, holder } = this
    if (holder === undefined) return
    const ended =
      holding === undefined
        ? undefined
        : new Promise((end) => {
            holding.child.on('exit', end)
          })
    process.kill(holder, 'SIGKILL')
    await ended
    await this.gone(holder)
  }

  /** Waits until a fault has cut the power. */
  async waitForPowerCut(): Promise<void> {
    if (this.holder !== undefined) await this.gone(this.holder)
  }

  private async gone(holder: number): Promise<void> {
    while (existsSync(`/proc/${holder}`)) await new Promise((wake) => setTimeout(wake, 5))
    await this.holding?.power.close()
    this.holding = undefined
    this.holder = undefined
  }

  /** Switches the host off. What it has on disk stays. */
  async stop(): Promise<void> {
    await this.powerCut()
  }

  /** Switches the host off and removes it. */
  async remove(): Promise<void> {
    await this.stop()
    await this.onDisk('chattr -R -f -i "$1" || :; rm -rf -- "$1"').catch(() => undefined)
    await rm(this.folder, { recursive: true, force: true })
  }

  /** Runs a shell's script as the owner of all that is in the folder, which is its first argument. */
  private async onDisk(script: string, ...more: readonly string[]): Promise<void> {
    const shell = ['/bin/sh', '-euc', script, 'sh', this.folder, ...more]
    const [program = '', ...argv] = this.asRoot
      ? shell
      : ['unshare', '--user', '--map-root-user', '--map-auto', '--', ...shell]
    const { code, stderr } = await outcome(
      spawn(program, argv, { stdio: ['ignore', 'pipe', 'pipe'], cwd: '/' }),
    )
    if (code !== 0) throw new Error(stderr)
  }

  /** Empties /etc/pve, as pve-cluster does when it stops. */
  async loseCluster(): Promise<void> {
    await this.must(['umount', '--lazy', '/etc/pve'])
  }

  /** Fills it again, if it is empty. */
  async restoreCluster(): Promise<void> {
    await this.must(['sh', '-c', '[ -L /etc/pve/local ] || mount --bind "$0" /etc/pve', clusterMount])
  }

  private async must(argv: readonly string[]): Promise<void> {
    const { code, stderr } = await this.run(argv)
    if (code !== 0) throw new Error(`${argv.join(' ')} failed on the stand-in host: ${stderr}`)
  }

  /** Where a file of the host is found from outside, until it is switched off or on the next time. */
  path(path: string): string {
    const stored = this.layout.stored(path)
    if (stored?.startsWith(join(this.folder, 'layers')) === false) return stored
    if (this.holder !== undefined) return `/proc/${this.holder}/root${path}`
    return stored ?? path
  }

  /** The text of every VM's configuration in the whole cluster, by VMID. */
  async configs(): Promise<Map<number, string>> {
    const found = new Map<number, string>()
    for (const node of this.settings.nodes) {
      const folder = join(this.layout.own('/etc/pve'), 'nodes', node, 'qemu-server')
      for (const name of await readdir(folder)) {
        const vmid = /^(\d+)\.conf$/.exec(name)?.[1]
        if (vmid !== undefined) found.set(Number(vmid), await readFile(join(folder, name), 'utf8'))
      }
    }
    return new Map([...found].sort(([a], [b]) => a - b))
  }
}
