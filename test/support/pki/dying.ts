/**
 * `seeder pki` that kills itself with SIGKILL right before its n-th change of the file system, n being `DIE_BEFORE`. The
 * program is as always; the rest of the command line is left out, since loading it takes longer than a run.
 */
import { Command } from 'commander'
import { createContext } from '../../../src/commands/context.ts'
import { registerPkiCommand } from '../../../src/commands/pki.ts'
import { watchChanges } from '../watch-changes.ts'

const last = Number(process.env.DIE_BEFORE)
let changes = 0

await watchChanges(
  ['mkdir', 'chmod', 'open', 'writeFile', 'rename', 'rm'],
  ['writeFile', 'chmod', 'sync'],
  () => {
    changes += 1
    if (changes === last) process.kill(process.pid, 'SIGKILL')
  },
)

const program = new Command()
registerPkiCommand(program, () => createContext({}, ''))
await program.parseAsync()
