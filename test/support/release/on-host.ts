import { spawn } from 'node:child_process'
import { join } from 'node:path'
import type { PveHost } from '../../stand-ins/proxmox/host.ts'
import { type HostResult, outcome, runningHolder } from '../../stand-ins/proxmox/host-process.ts'
import { Layout } from '../../stand-ins/proxmox/layout.ts'
import { checkout } from '../seeder.ts'

/**
 * The words before a command that is to run on a stand-in host, as root there, with the network of this machine: a host
 * reaches GitHub, which is here on loopback.
 */
export async function onHost(host: PveHost): Promise<string[]> {
  const holder = await runningHolder(new Layout(host.folder))
  if (holder === undefined) throw new Error(`the stand-in host in ${host.folder} is off`)
  const user = process.getuid?.() === 0 ? [] : ['--user', '--preserve-credentials']
  return ['nsenter', `--target=${holder}`, ...user, '--mount', '--pid', '--uts', '--ipc', '--']
}

/** Runs the command line on a stand-in host, as root there or as what `prefix` makes of it. */
export async function seederOnHost(
  host: PveHost,
  argv: readonly string[],
  env: Readonly<Record<string, string>>,
  prefix: readonly string[] = [],
): Promise<HostResult> {
  const [command = '', ...words] = await onHost(host)
  const seeder = [process.execPath, join(checkout, 'src/cli.ts'), ...argv]
  const child = spawn(command, [...words, ...prefix, ...seeder], {
    stdio: ['ignore', 'pipe', 'pipe'],
    cwd: '/',
    env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LANG: 'C.UTF-8', NO_COLOR: '1', ...env },
  })
  return outcome(child)
}
