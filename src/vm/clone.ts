import { type ChildProcess, spawn } from 'node:child_process'
import { createWriteStream } from 'node:fs'
import { copyFile, mkdir, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Duplex, type Readable, type Writable } from 'node:stream'
import { childEnvironment, execa } from '../process/child-process.ts'
import { describeError, SeederError } from '../report/error.ts'
import { GuestAgent } from './agent.ts'
import { type DriveFiles, makeDrive } from './cloud-init-drive.ts'
import { Console } from './console.ts'
import { isLostTimer } from './console-failures.ts'
import type { Emulator } from './emulator.ts'
import { AGENT_DESCRIPTOR, type Machine, machineArguments, type Nic, overlayArguments } from './qemu.ts'

/** The properties of one clone of an image. */
export interface CloneSpec {
  /** Also the name of its folder and its console logs. */
  readonly name: string
  readonly uuid: string
  readonly memoryMiB: number
  readonly cpus: number
  /** Size of its disk in bytes, at least the image's. */
  readonly diskBytes: number
  /** Size of a second, blank disk in bytes; undefined for none. */
  readonly dataDiskBytes: number | undefined
  readonly nics: readonly Nic[]
}

/** One start of a clone. */
export interface Boot {
  readonly console: Console
  readonly agent: GuestAgent
  /** Settles when QEMU has ended. */
  readonly ended: Promise<void>
}

/** A running QEMU. */
interface Run {
  readonly child: ChildProcess
  /** The guest agent's. */
  readonly port: Duplex
  /** The serial console, and QEMU's error output. */
  readonly output: readonly Readable[]
  readonly closed: Promise<void>
}

// The maximum number of starts of a guest whose kernel loses its timer.
const MAXIMUM_STARTS = 4

/** A VM cloned from an image: its own overlay disk, firmware variables and cloud-init drive. */
export class Clone {
  readonly name: string
  readonly boots: Boot[] = []
  private readonly machine: Machine
  private readonly emulator: Emulator
  private readonly folder: string
  private process: ChildProcess | undefined
  /** Whether it has to run: it was started and not killed. */
  private wanted = false

  private constructor(emulator: Emulator, folder: string, machine: Machine) {
    this.name = machine.name
    this.emulator = emulator
    this.folder = folder
    this.machine = machine
  }

  /**
   * Makes the clone's files in `parent`/`name`. The image is only read.
   * @throws SeederError when the overlay cannot be made
   */
  static async make(image: string, parent: string, emulator: Emulator, spec: CloneSpec): Promise<Clone> {
    const folder = join(parent, spec.name)
    await mkdir(folder, { recursive: true })
    const { diskBytes, dataDiskBytes, ...rest } = spec
    const machine: Machine = {
      ...rest,
      accelerator: emulator.accelerator,
      firmware: { code: emulator.firmware.code, vars: join(folder, 'efivars.fd') },
      disk: join(folder, 'disk.qcow2'),
      dataDisk: dataDiskBytes === undefined ? undefined : join(folder, 'data.raw'),
      drive: join(folder, 'cloudinit.iso'),
    }
    await copyFile(emulator.firmware.vars, machine.firmware.vars)
    if (machine.dataDisk !== undefined) {
      await writeFile(machine.dataDisk, '')
      await truncate(machine.dataDisk, dataDiskBytes)
    }
    try {
      await execa('qemu-img', overlayArguments(image, machine.disk, diskBytes))
    } catch (cause) {
      throw new SeederError(`could not make a disk over ${image}`, {
        fix: 'check that it is a complete qcow2 image and that there is room in the cache folder',
        cause,
      })
    }
    return new Clone(emulator, folder, machine)
  }

  /** The latest boot. */
  get boot(): Boot {
    const boot = this.boots.at(-1)
    if (!boot) throw new SeederError(`the clone ${this.name} was never started`)
    return boot
  }

  get console(): Console {
    return this.boot.console
  }

  get agent(): GuestAgent {
    return this.boot.agent
  }

  /**
   * Starts the clone, which must not be running, with this cloud-init drive. A guest whose kernel lost its timer under the
   * emulator is started again as the same boot; its output stays in the log.
   */
  async start(files: DriveFiles): Promise<Boot> {
    await makeDrive(files, this.machine.drive)
    const log = createWriteStream(join(this.folder, `console-${this.boots.length + 1}.log`))
    this.wanted = true
    const run = this.launch(log)
    const console = new Console(...run.output)
    const agent = new GuestAgent(run.port)
    const boot: Boot = { console, agent, ended: this.watch(run, console, agent, log) }
    this.boots.push(boot)
    return boot
  }

  /** Ends the VM as a power cut would. */
  async kill(): Promise<void> {
    this.wanted = false
    this.process?.kill('SIGKILL')
    await this.boots.at(-1)?.ended
  }

  /**
   * Requests the guest to power off, as `qm shutdown` does, and waits for it.
   * @returns the milliseconds that it took
   * @throws SeederError when it still runs after the time
   */
  async shutDown(timeoutMs: number): Promise<number> {
    const began = performance.now()
    await this.agent.shutdown()
    const timer = Promise.withResolvers<'late'>()
    const late = setTimeout(() => timer.resolve('late'), timeoutMs)
    const outcome = await Promise.race([this.boot.ended, timer.promise])
    clearTimeout(late)
    if (outcome === 'late') {
      throw new SeederError(`requested ${this.name} to power off; it still ran after ${timeoutMs / 1000} s`)
    }
    return performance.now() - began
  }

  /** Saves the journal of this boot beside the console log, if the guest runs; an error is saved in its place. */
  async saveJournal(): Promise<void> {
    if (this.process?.exitCode !== null || this.process.signalCode !== null) return
    const journal = ['/bin/journalctl', '--boot', '--no-pager', '--output=short-monotonic'] as const
    // An agent that does not answer soon was never started.
    const text = await this.agent
      .ready(5000)
      .then(() => this.agent.exec(journal, { timeoutMs: 30_000 }))
      .then(({ stdout }) => stdout)
      .catch((error: unknown) => `${describeError(error)}\n`)
    await writeFile(join(this.folder, `journal-${this.boots.length}.log`), text)
  }

  private launch(log: Writable): Run {
    const child = spawn(this.emulator.binary, machineArguments(this.machine), {
      // Node's pipes are sockets, which need no path for QEMU: no limit of its length, and nothing to remove.
      stdio: ['pipe', 'pipe', 'pipe', 'pipe'],
      // Ctrl-C must reach only the test, which ends its VMs itself.
      detached: true,
      env: childEnvironment(),
    })
    this.process = child
    const port = child.stdio[AGENT_DESCRIPTOR]
    if (!(port instanceof Duplex))
      throw new SeederError(`the agent's descriptor of ${this.name} is no socket`)
    const output = [child.stdout, child.stderr]
    for (const stream of output) stream.on('data', (text: string) => log.write(text))
    const closed = new Promise<void>((resolve) => {
      child.on('error', () => resolve())
      child.on('close', () => resolve())
    })
    return { child, port, output, closed }
  }

  /** Settles when QEMU has ended for good. */
  private async watch(first: Run, console: Console, agent: GuestAgent, log: Writable): Promise<void> {
    for (let run = first, start = 1; ; start++) {
      let lostTimer = false
      console.once(isLostTimer, () => {
        lostTimer = true
        run.child.kill('SIGKILL')
      })
      await run.closed
      if (!lostTimer || !this.wanted || start === MAXIMUM_STARTS) break
      run = this.launch(log)
      console.restart(...run.output)
      agent.restart(run.port)
    }
    console.end()
    log.end()
  }
}
