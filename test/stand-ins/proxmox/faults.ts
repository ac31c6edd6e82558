import { existsSync } from 'node:fs'
import { readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Fault } from './fault.ts'

/** What is to go wrong on a host, and what was called on it. */
export class Faults {
  private readonly control: string

  constructor(control: string) {
    this.control = control
  }

  /** From now on these happen, and no others. Calls are counted from here. */
  async set(...faults: readonly Fault[]): Promise<void> {
    await this.clear()
    const file = join(this.control, 'faults.json')
    await writeFile(`${file}.new`, JSON.stringify(faults))
    await rename(`${file}.new`, file)
  }

  /** Nothing goes wrong any more. Storages are back, and the calls forgotten. */
  async clear(): Promise<void> {
    for (const name of ['faults.json', 'calls', 'gone', 'paused', 'released']) {
      await rm(join(this.control, name), { recursive: true, force: true })
    }
  }

  /** Waits until a call stands still. */
  async paused(timeoutMs = 30_000): Promise<void> {
    const deadline = Date.now() + timeoutMs
    while (!existsSync(join(this.control, 'paused'))) {
      if (Date.now() > deadline) throw new Error('no call on the stand-in host stands still')
      await sleep(10)
    }
  }

  /** Lets the calls that stand still go on, and those that would. */
  async release(): Promise<void> {
    await writeFile(join(this.control, 'released'), '')
  }

  /** The calls of all stand-ins since then, in their order: the program's name and its arguments. */
  async calls(): Promise<string[][]> {
    const file = join(this.control, 'calls')
    if (!existsSync(file)) return []
    const lines = (await readFile(file, 'utf8')).trimEnd().split('\n')
    return lines.map((line) => JSON.parse(line).words)
  }
}
