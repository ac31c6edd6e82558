import { chmod, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { execa } from 'execa'
import { type HostResult, PveHost } from '../../stand-ins/proxmox/host.ts'
import { checkout } from '../seeder.ts'
import { must } from './template.ts'

/** Puts the guests of tests in which nothing boots before the host's `qm`. */
export async function playGuests(host: PveHost): Promise<void> {
  const qm = host.path('/usr/sbin/qm')
  await rename(qm, `${qm}-itself`)
  const script = join(import.meta.dirname, 'guests.ts')
  await writeFile(
    qm,
    `#!/bin/sh\nunset NODE_OPTIONS\nexec '${process.execPath}' '${script}' /usr/sbin/qm-itself "$@"\n`,
  )
  await chmod(qm, 0o755)
}

/** Runs `seeder node ARGS` on a host, as root would. */
export function seederNode(
  host: PveHost,
  argv: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<HostResult> {
  return seederOnHost(host, ['node', ...argv], env)
}

/** Runs `seeder ARGS` on a host, as root would. */
export async function seederOnHost(
  host: PveHost,
  argv: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<HostResult> {
  const program = [process.execPath, join(checkout, 'src/cli.ts'), '--verbose', '-C', checkout, ...argv]
  return host.run(program, {
    env: { NO_COLOR: '1', NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE ?? '', ...env },
  })
}

/** Everything on a host that `seeder node` may have made, in a form that two hosts can be compared by. */
export interface HostState {
  readonly entries: Readonly<Record<string, unknown>>
  readonly configs: Readonly<Record<number, string>>
  readonly volumes: readonly string[]
  /** The vendor data; and what lies beside it. */
  readonly snippets: Readonly<Record<string, string>>
  readonly running: readonly string[]
  readonly etcd: string
}

/** What is random in one run and another one in the next. */
function withoutChance(text: string): string {
  return text
    .replaceAll(/\b[0-9a-f]{32}\b/g, 'TOKEN')
    .replaceAll(/seeder-[0-9a-f]{8}\b/g, 'CLUSTER')
    .replaceAll(/uuid=[0-9a-f-]{36}|vmgenid: .*/g, 'UUID')
    .replaceAll(/BC:24:11:[0-9A-F:]{8}/g, 'MAC')
    .replaceAll(/ctime=\d+/g, 'CTIME')
}

/** Reads a host's state. */
export async function hostState(host: PveHost): Promise<HostState> {
  const texts = async (folder: string) => {
    const names = await readdir(host.path(folder)).catch(() => [])
    const read = names.sort().map(async (name) => {
      const text = await readFile(join(host.path(folder), name), 'utf8').catch(() => 'a folder')
      return [name, withoutChance(text)] as const
    })
    return Object.fromEntries(await Promise.all(read))
  }
  const volumes = await Promise.all(
    ['local', 'local-lvm', 'local-zfs'].map((storage) => must(host, ['pvesm', 'list', storage])),
  )
  const configs = Object.fromEntries(
    [...(await host.configs())].map(([id, text]) => [id, withoutChance(text)]),
  )
  return {
    entries: await texts('/var/lib/seeder/nodes'),
    configs,
    volumes: volumes
      .flatMap((text) => text.split('\n').flatMap((line) => /^\S+:\S+/.exec(line)?.[0] ?? []))
      .sort(),
    snippets: await texts('/var/lib/vz/snippets'),
    running: await readdir(host.path('/run/guests')).catch(() => []),
    etcd: withoutChance(await readFile(host.path('/var/lib/guests/etcd'), 'utf8').catch(() => '')),
  }
}

/** Copies of a host that is off, each to be spoiled. */
export async function copyHost(from: PveHost, folder: string): Promise<PveHost> {
  await mkdir(folder, { recursive: true })
  await rm(folder, { recursive: true })
  await execa('cp', ['-a', '--sparse=always', from.folder, folder])
  return PveHost.open(folder)
}
