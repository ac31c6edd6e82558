import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import type { Ended } from '../seeder.ts'
import { checkout } from '../seeder.ts'
import type { Done, Job } from './worker.ts'

/** What takes longer hangs: the slowest command of these takes a hundredth of it. */
const HANGS_MS = 90_000

/** The command line in a process that is kept. */
export class CommandLine {
  readonly #env: NodeJS.ProcessEnv
  #child: ChildProcess | undefined

  constructor(env: NodeJS.ProcessEnv = {}) {
    this.#env = env
  }

  /** Runs one command. One that hangs, or takes the process with it, ended so. */
  async run(argv: readonly string[]): Promise<Ended> {
    const child = this.#start()
    let said = ''
    child.stderr?.on('data', (text) => {
      said += text
    })
    const timer = setTimeout(() => child.kill('SIGKILL'), HANGS_MS)
    const done = once(child, 'message').then(([message]) => message as Done)
    const died = once(child, 'exit').then(([code, signal]) => {
      this.#child = undefined
      return { code: code ?? undefined, stdout: '', stderr: `it ended by ${signal ?? code}: ${said}` }
    })
    child.send({ argv } satisfies Job)
    const ended = await Promise.race([done, died])
    clearTimeout(timer)
    child.removeAllListeners()
    child.stderr?.removeAllListeners('data')
    return ended
  }

  stop(): void {
    this.#child?.kill('SIGKILL')
    this.#child = undefined
  }

  #start(): ChildProcess {
    this.#child ??= fork(join(import.meta.dirname, 'worker.ts'), {
      cwd: checkout,
      env: { ...process.env, NO_COLOR: '1', NODE_OPTIONS: '', ...this.#env },
      execArgv: [],
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    })
    return this.#child
  }
}
