/**
 * `seeder pki` that kills itself with SIGKILL right before its n-th change of the file system, n being `DIE_BEFORE`. The
 * program is as always; the rest of the command line is left out, since loading it takes longer than a run.
 */
import fs from 'node:fs/promises'
import { syncBuiltinESMExports } from 'node:module'
import { Command } from 'commander'
import { createContext } from '../../../src/commands/context.ts'
import { registerPkiCommand } from '../../../src/commands/pki.ts'

const last = Number(process.env.DIE_BEFORE)
let changes = 0

/** Counts the calls of some of an object's methods. */
function count(methods: Record<string, unknown>, names: readonly string[]): void {
  for (const name of names) {
    const method = methods[name]
    if (typeof method !== 'function') throw new Error(`there is no ${name}`)
    methods[name] = function (this: unknown, ...args: unknown[]) {
      changes += 1
      if (changes === last) process.kill(process.pid, 'SIGKILL')
      return Reflect.apply(method, this, args)
    }
  }
}

const handle = await fs.open('/dev/null')
count(Object.getPrototypeOf(handle), ['writeFile', 'chmod', 'sync'])
await handle.close()
count(fs as unknown as Record<string, unknown>, ['mkdir', 'chmod', 'open', 'writeFile', 'rename', 'rm'])
syncBuiltinESMExports()

const program = new Command()
registerPkiCommand(program, () => createContext({}, ''))
await program.parseAsync()
