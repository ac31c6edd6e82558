import { existsSync } from 'node:fs'
import { readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
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
    for (const name of ['faults.json', 'calls', 'gone']) {
      await rm(join(this.control, name), { recursive: true, force: true })
    }
  }

  /** The calls of all stand-ins since then, in their order: the program's name and its arguments. */
  async calls(): Promise<string[][]> {
    const file = join(this.control, 'calls')
    if (!existsSync(file)) return []
    const lines = (await readFile(file, 'utf8')).trimEnd().split('\n')
    return lines.map((line) => JSON.parse(line).words)
  }
}
