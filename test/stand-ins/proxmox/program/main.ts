import { basename } from 'node:path'
import { noteCall, prepareHost } from './calls.ts'
import { isClusterThere } from './cluster.ts'
import { complain, runCommand } from './command.ts'
import { passMoment, setActiveFaults } from './faults.ts'
import { err, out } from './output.ts'

/** The stand-ins, by the names they are called by. */
const programs: Readonly<Record<string, (argv: readonly string[]) => Promise<number>>> = {
  qm: async (argv) => {
    const [{ qmCommands }, { qmHelp }] = await Promise.all([
      import('./qm/commands.ts'),
      import('./qm/help.ts'),
    ])
    return runCommand('qm', qmCommands, qmHelp, argv)
  },
  pvesm: async (argv) => {
    const { pvesmCommands } = await import('./pvesm/commands.ts')
    return runCommand('pvesm', pvesmCommands, 'USAGE: pvesm <COMMAND> [ARGS] [OPTIONS]\n', argv)
  },
  pvesh: async (argv) => (await import('./pvesh/pvesh.ts')).pvesh(argv),
  pveversion: async () => {
    out('pve-manager/9.2.11/harness (running kernel: 6.14.11-4-pve)\n')
    return 0
  },
  lvs: async (argv) => (await import('./lvm/lvs.ts')).lvs(argv),
  zfs: async (argv) => (await import('./lvm/zfs.ts')).zfs(argv),
}

async function main([program = '', ...argv]: readonly string[]): Promise<number> {
  // The real ones find their own programs, whatever the caller's PATH says.
  process.env.PATH = '/sbin:/bin:/usr/sbin:/usr/bin'
  if (program === '--worker') {
    const [{ workAsWorker }, { tasks }] = await Promise.all([import('./worker.ts'), import('./tasks.ts')])
    await workAsWorker(tasks)
    return 0
  }
  if (program === '--reset') {
    const { qmp } = await import('./vm/qmp.ts')
    await qmp(Number(argv[0]), 'system_reset')
    return 0
  }
  const name = basename(program)
  const run = programs[name]
  if (run === undefined) throw new Error(`there is no stand-in for ${name}`)
  if (process.getuid?.() !== 0) {
    err('ipcc_send_rec[1] failed: Unknown error -1\n'.repeat(3))
    err('Unable to load access control list: Unknown error -1\n')
    return 255
  }
  const faults = noteCall([name, ...argv])
  setActiveFaults(faults)
  await prepareHost(faults)
  try {
    await passMoment('before')
    if (['qm', 'pvesm', 'pvesh'].includes(name) && !isClusterThere()) {
      err('ipcc_send_rec[1] failed: Connection refused\n'.repeat(3))
      err('Unable to load access control list: Connection refused\n')
      return 255
    }
    const status = await run(argv)
    await passMoment('after')
    return status
  } catch (error) {
    return complain(error, '')
  }
}

process.exit(await main(process.argv.slice(2)))
