import { refusal } from '../check.ts'
import { nodeName, vmsOf } from '../cluster.ts'
import { bootDisk, parseSize } from '../drives.ts'
import { CommandLineError, PveError } from '../failure.ts'
import type { Call } from '../getopt.ts'
import { say } from '../output.ts'
import { runningPid } from '../running.ts'
import { encodeText, loadConfig } from '../vm-config.ts'
import { vmOption } from '../vm-options.ts'

/** A VM's name for people. */
export function displayName(vmid: number, values: ReadonlyMap<string, string>): string {
  return values.get('name') ?? `VM ${vmid}`
}

/** A VM's memory in MiB. */
export function memoryOf(values: ReadonlyMap<string, string>): number {
  return Number(/\d+/.exec(values.get('memory') ?? '')?.[0] ?? 512)
}

/** Bytes of the disk a VM starts from, as its configuration has it. */
export function bootBytes(values: ReadonlyMap<string, string>): number {
  return parseSize(bootDisk(values)?.properties.get('size') ?? '0')
}

/** `qm list`. */
export async function list(): Promise<void> {
  const vms = vmsOf(nodeName())
  if (vms.length === 0) return
  const row = (cells: readonly string[]) => {
    const [vmid = '', name = '', status = '', memory = '', disk = '', pid = ''] = cells
    say(
      `${vmid.padStart(10)} ${name.padEnd(20)} ${status.padEnd(10)} ${memory.padEnd(10)} ${disk.padStart(12)} ${pid.padEnd(10)}`,
    )
  }
  row(['VMID', 'NAME', 'STATUS', 'MEM(MB)', 'BOOTDISK(GB)', 'PID'])
  for (const vmid of vms) {
    const { values } = loadConfig(vmid)
    const pid = runningPid(vmid)
    row([
      String(vmid),
      displayName(vmid, values),
      pid === undefined ? 'stopped' : 'running',
      String(memoryOf(values)),
      (bootBytes(values) / 1024 ** 3).toFixed(2),
      String(pid ?? 0),
    ])
  }
}

/** What `qm status --verbose` and the API say of a VM. */
export function vmStatus(vmid: number): Record<string, string | number> {
  const { values } = loadConfig(vmid)
  const pid = runningPid(vmid)
  const status = pid === undefined ? 'stopped' : 'running'
  const tags = values.get('tags')
  const lock = values.get('lock')
  const cores = Number(values.get('cores') ?? 1) * Number(values.get('sockets') ?? 1)
  return {
    cpu: 0,
    cpus: cores,
    disk: 0,
    maxdisk: bootBytes(values),
    maxmem: memoryOf(values) * 1024 ** 2,
    mem: 0,
    memhost: 0,
    name: displayName(vmid, values),
    netin: 0,
    netout: 0,
    status,
    uptime: 0,
    vmid,
    ...(pid === undefined ? {} : { pid }),
    ...(values.has('serial0') ? { serial: 1 } : {}),
    ...(tags === undefined ? {} : { tags }),
    ...(lock === undefined ? {} : { lock }),
    ...(values.get('template') === '1' ? { template: 1 } : {}),
  }
}

/** `qm status`. */
export async function status(call: Call): Promise<void> {
  const vmid = Number(call.values.get('vmid'))
  const found = vmStatus(vmid)
  if (call.values.get('verbose') !== '1') {
    say(`status: ${found.status}`)
    return
  }
  const shown = Object.entries({ ...found, qmpstatus: found.status }).filter(([key]) => key !== 'cpu')
  for (const [key, value] of shown.sort(([a], [b]) => (a < b ? -1 : 1))) say(`${key}: ${value}`)
}

/** A VM's configuration as commands show it: no password, the description on one line. */
export function shownValues(vmid: number, snapshot?: string): [string, string][] {
  const config = loadConfig(vmid)
  const values = snapshot === undefined ? config.values : config.snapshots.get(snapshot)
  if (values === undefined) throw new PveError(`snapshot '${snapshot}' does not exist`, 2)
  const lock = values.get('lock')
  const spec = vmOption('lock')
  // A half-done removal leaves a lock that the schema does not know.
  const found = lock === undefined || spec === undefined ? undefined : refusal(spec, lock)
  if (found !== undefined) throw new CommandLineError(`400 Result verification failed.\nlock: ${found}`)
  return [...values]
    .map(([key, value]): [string, string] => [key, key === 'cipassword' ? '**********' : value])
    .sort(([a], [b]) => (a < b ? -1 : 1))
}

/** `qm config`. */
export async function config(call: Call): Promise<void> {
  for (const [key, value] of shownValues(Number(call.values.get('vmid')), call.values.get('snapshot'))) {
    say(`${key}: ${key === 'description' ? encodeText(value) : value}`)
  }
}

/** `qm pending`: what is, since nothing is left pending here. */
export async function pending(call: Call): Promise<void> {
  for (const [key, value] of shownValues(Number(call.values.get('vmid')))) {
    say(`cur ${key}: ${key === 'description' ? encodeText(value) : value}`)
  }
}
