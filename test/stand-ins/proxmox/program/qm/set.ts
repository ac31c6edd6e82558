import { readConfigText } from '../cluster.ts'
import {
  drivesOf,
  freeUnused,
  hasVolume,
  isCloudInit,
  isDriveOption,
  isUnused,
  parseDrive,
  printBoot,
  printDrive,
  volumeOf,
} from '../drives.ts'
import { ParameterError, PveError } from '../failure.ts'
import { passMoment } from '../faults.ts'
import type { Call } from '../getopt.ts'
import { withConfigLock } from '../locks.ts'
import { err, say } from '../output.ts'
import { runningPid } from '../running.ts'
import { placeOf } from '../storage/registry.ts'
import { checkLock, digestOf, loadConfig, type VmConfig, writeConfig } from '../vm-config.ts'
import { vmOption } from '../vm-options.ts'
import { checkRequests, freeVolumes, provision, requestedDrives } from './provision.ts'
import { readFileOptions, storedValue } from './values.ts'

/** `qm set`: each option is written by itself, so that a failure leaves what was done before it. */
export async function set(call: Call): Promise<void> {
  const vmid = Number(call.values.get('vmid'))
  const given = new Map([...call.values].filter(([name]) => name !== 'vmid'))
  const wanted = readFileOptions(new Map([...given].filter(([name]) => vmOption(name) !== undefined)))
  const deleted = (given.get('delete') ?? '').split(/[,;\s]+/).filter((name) => name !== '')
  if (wanted.size === 0 && deleted.length === 0) throw new PveError('no options specified')
  const unknown = deleted.find((name) => vmOption(name) === undefined)
  if (unknown !== undefined) throw new ParameterError({ delete: `unknown option '${unknown}'` })
  checkRequests(requestedDrives(wanted))
  const hook = wanted.get('hookscript')
  if (hook !== undefined) storedValue('hookscript', hook)
  await withConfigLock(vmid, async () => {
    const config = loadConfig(vmid)
    const digest = given.get('digest')
    if (digest !== undefined && digest !== digestOf(readConfigText(vmid))) {
      throw new PveError('detected modified configuration - file changed by other user? Try again.')
    }
    if (given.get('skiplock') !== '1') checkLock(config)
    const shown = echo(new Map([...given, ...wanted]))
    say(`update VM ${vmid}: ${shown}`)
    if (/[^\0-\xff]/.test(shown)) {
      err('Wide character in print at /usr/share/perl5/PVE/API2/Qemu.pm line 2259.\n')
    }
    for (const option of deleted) {
      await deleteOption(vmid, config, option)
      writeConfig(vmid, config)
    }
    // Proxmox VE takes them in no particular order.
    for (const [option, value] of [...wanted].sort(([a], [b]) => (a < b ? 1 : -1))) {
      await setOption(vmid, config, option, value)
      writeConfig(vmid, config)
      await passMoment('middle')
    }
    await writeNewDrive(vmid, config, wanted)
  })
}

/** The options as the task's log shows them. */
function echo(options: ReadonlyMap<string, string>): string {
  return [...options]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => `-${name} ${name === 'cipassword' ? '<hidden>' : value}`)
    .join(' ')
}

async function setOption(vmid: number, config: VmConfig, option: string, value: string): Promise<void> {
  const { values } = config
  if (option === 'boot') checkBoot(values, value)
  if (!isDriveOption(option)) {
    const stored = storedValue(option, value)
    if (stored === undefined) values.delete(option)
    else values.set(option, stored)
    if (/^net\d+$/.test(option)) await followLink(vmid, option, values)
    return
  }
  const created: string[] = []
  const template = values.get('template') === '1'
  try {
    const drive = await provision(parseDrive(option, value), { vmid, values, template, created })
    release(config, option, volumeOf(drive))
    values.set(option, printDrive(drive))
  } catch (error) {
    await freeVolumes(created)
    throw error
  }
}

/** A cable is pulled, or put in again, while the VM runs. */
async function followLink(vmid: number, option: string, values: ReadonlyMap<string, string>): Promise<void> {
  if (runningPid(vmid) === undefined) return
  const [{ cardsOf }, { qmp }] = await Promise.all([import('../vm/machine.ts'), import('../vm/qmp.ts')])
  const card = cardsOf(vmid, values).find(({ id }) => id === option)
  if (card !== undefined) await qmp(vmid, 'set_link', { name: option, up: !card.linkDown })
}

function checkBoot(values: ReadonlyMap<string, string>, value: string): void {
  const devices = /order=([^,]*)/.exec(value)?.[1]?.split(';') ?? []
  const missing = devices.find((device) => !values.has(device))
  if (missing !== undefined) throw new PveError(`invalid bootorder: device '${missing}' does not exist'`)
}

/** A disk that its drive no longer names stays as an unused one. */
function release({ values }: VmConfig, option: string, kept: string): void {
  const old = values.get(option)
  if (old === undefined) return
  const drive = parseDrive(option, old)
  const volid = volumeOf(drive)
  if (!hasVolume(drive) || isCloudInit(drive) || volid === kept) return
  if (placeOf(volid).storage.owner(placeOf(volid).volume) === undefined) return
  values.set(freeUnused(values), volid)
}

async function deleteOption(vmid: number, config: VmConfig, option: string): Promise<void> {
  const { values } = config
  const value = values.get(option)
  if (value === undefined) return
  if (isDriveOption(option)) {
    const drive = parseDrive(option, value)
    if (isCloudInit(drive)) await freeVolumes([volumeOf(drive)])
    else release(config, option, '')
    removeFromBoot(values, option)
  } else if (isUnused(option)) {
    if (values.get('protection') === '1') {
      throw new PveError(`can't remove unused disk '${value}' - protection mode enabled`)
    }
    const { storage, volume } = placeOf(value)
    if (storage.owner(volume) === vmid) await freeVolumes([value])
  }
  values.delete(option)
}

function removeFromBoot(values: Map<string, string>, option: string): void {
  const order = /^order=([^,]*)$/.exec(values.get('boot') ?? '')?.[1]
  if (order === undefined) return
  values.set('boot', printBoot(order.split(';').filter((device) => device !== option)))
}

/** A drive of cloud-init's that was just attached is written at once. */
async function writeNewDrive(
  vmid: number,
  { values }: VmConfig,
  wanted: ReadonlyMap<string, string>,
): Promise<void> {
  const drive = drivesOf(values).find(isCloudInit)
  if (drive === undefined || !/:cloudinit(,|$)/.test(wanted.get(drive.option) ?? '')) return
  const { writeCloudInitDrive } = await import('./cloudinit.ts')
  await writeCloudInitDrive(vmid, values)
}
