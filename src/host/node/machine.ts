import { existsSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { SeederError } from '../../report/error.ts'
import { type Argv, failureReason, type Host, withoutOptions } from '../commands.ts'
import { type Guest, readGuests, tagsOf } from '../guests.ts'
import { readVolumes, type Volume } from '../storage.ts'
import { diskAt } from '../templates.ts'
import type { NodeEntry } from './ledger.ts'

/** The VM of a node, as it was found. */
export interface FoundMachine {
  /** The guest with the entry's id, on whichever Proxmox node. */
  readonly guest: Guest | undefined
  readonly is: Ownership | 'missing' | 'elsewhere'
}

/** Looks for the VM of an entry. */
export async function findMachine(entry: NodeEntry, node: string): Promise<FoundMachine> {
  return classifyMachine(entry, node, await readGuests())
}

/** As `findMachine`, in a list of guests. */
export function classifyMachine(entry: NodeEntry, node: string, guests: readonly Guest[]): FoundMachine {
  const guest = guests.find(({ vmid }) => vmid === entry.vmid)
  if (!guest) return { guest, is: 'missing' }
  const is = ownershipOf(entry, guest)
  return { guest, is: is === 'ours' && guest.node !== node ? 'elsewhere' : is }
}

/**
 * Runs a planned command and checks its effect.
 * @throws SeederError when it failed, even if its exit status is 0
 */
export async function runPlanned(
  host: Host,
  command: PlannedCommand,
  vmid: number,
  node: string,
): Promise<void> {
  const ended = await host.run(command.argv)
  const failed = (why: string) => new SeederError(`${withoutOptions(command.argv)} failed: ${why}`)
  if (ended.code !== 0) throw failed(failureReason(ended))
  const guest = await readGuest(vmid, node)
  const wrong = Object.entries(command.sets ?? {}).find(([key, value]) => guest.settings.get(key) !== value)
  if (wrong) {
    const [key, value] = wrong
    throw failed(`it did not set ${key} to ${value}; it is ${guest.settings.get(key) ?? 'not there'}`)
  }
  if (command.grows) {
    const { slot, bytes } = command.grows
    const has = diskAt(guest, slot)?.bytes ?? 0
    if (has < bytes) throw failed(has === 0 ? `there is no disk ${slot}` : failureReason(ended))
  }
}

async function readGuest(vmid: number, node: string): Promise<Guest> {
  const guest = (await readGuests()).find((known) => known.vmid === vmid && known.node === node)
  if (guest) return guest
  throw new SeederError(`VM ${vmid} has no configuration on ${node}`, {
    fix: 'see whether somebody removed or migrated it',
  })
}

/** Whether a VM runs. */
export async function isRunning(host: Host, vmid: number): Promise<boolean> {
  return /^status: running$/m.test(await host.output(['qm', 'status', String(vmid)]))
}

/** Seconds for a guest to shut down by itself. */
const SHUTDOWN_SECONDS = 120

/**
 * Destroys a node's VM with all its disks.
 * @param entry its VM is `ours` or `incomplete`, and no command works on it
 * @param graceful shuts it down first; a node that was never ready has no services to end
 * @throws SeederError when something is left
 */
export async function destroyMachine(
  host: Host,
  entry: NodeEntry,
  guest: Guest,
  graceful: boolean,
): Promise<void> {
  const id = String(entry.vmid)
  if (['clone', 'destroyed'].includes(guest.settings.get('lock') ?? ''))
    await host.output(['qm', 'unlock', id])
  if (await isRunning(host, entry.vmid)) {
    const stop: Argv = graceful
      ? ['qm', 'shutdown', id, '--timeout', String(SHUTDOWN_SECONDS), '--forceStop', '1']
      : ['qm', 'stop', id]
    await host.output(stop)
  }
  if (guest.settings.get('protection') === '1') await host.output(['qm', 'set', id, '--protection', '0'])
  const storages = [...storagesOf(guest), ...(await templateStorages(entry))]
  // Not with --destroy-unreferenced-disks, which removes disks of others from every storage, too.
  await host.output(['qm', 'destroy', id, '--purge', '1'])
  await freeVolumes(host, entry, storages)
  // `qm destroy` only warns about a disk that it could not remove.
  const left = await volumesOn(host, entry, storages)
  if (left.length === 0) return
  const volumes = left.map(({ id: volume }) => volume).join(' ')
  throw new SeederError(`VM ${id} of ${entry.name} was destroyed, but not all of its disks: ${volumes}`, {
    fix: 'find out what uses them, then remove each: pvesm free VOLUME',
  })
}

/**
 * Frees the disks of a VM that was being cloned and whose configuration is gone: an interrupted `qm clone` removes its
 * disks, but not one that was not in the configuration yet. The id had no disks when it was chosen.
 * @param entry its node was never complete, and no guest has its id
 */
export async function freeLeftoverDisks(host: Host, entry: NodeEntry): Promise<void> {
  await freeVolumes(host, entry, await templateStorages(entry))
}

/** Frees the disks with a node's id on the storages of its own disks; on other storages they are not ours. */
async function freeVolumes(host: Host, entry: NodeEntry, storages: readonly string[]): Promise<void> {
  for (const { id } of await volumesOn(host, entry, storages)) await host.output(['pvesm', 'free', id])
}

async function volumesOn(host: Host, entry: NodeEntry, storages: readonly string[]): Promise<Volume[]> {
  return (await readVolumes(host)).filter(
    ({ id, vmid }) => vmid === entry.vmid && storages.some((name) => id.startsWith(`${name}:`)),
  )
}

/** The storages of the template's disks, where a clone's disks are made. */
async function templateStorages({ template }: NodeEntry): Promise<string[]> {
  const guest = (await readGuests()).find(({ vmid }) => vmid === template.vmid)
  return guest === undefined ? [] : storagesOf(guest)
}

/** The storages of the disks that a guest's configuration names. */
function storagesOf({ settings }: Guest): string[] {
  return [...settings].flatMap(([key, value]) => {
    const [, name] = /^(?:file=)?([a-zA-Z][\w.-]*):/.exec(value) ?? []
    return name !== undefined && /^(ide|sata|scsi|virtio|efidisk|tpmstate|unused)\d+$/.test(key) ? [name] : []
  })
}

/** Seconds for a command that outlived its run. */
const IDLE_SECONDS = 120

/**
 * Waits until no command works on a VM: the command of a killed run may still be running, or another program may be
 * making a VM of the same id. Look at the VM again after that: it may be complete now.
 * @throws SeederError when it takes too long
 */
export async function awaitIdle(host: Host, vmid: number): Promise<void> {
  const lock = `/var/lock/qemu-server/lock-${vmid}.conf`
  if (!existsSync(lock)) return
  for (let attempt = 0; attempt < IDLE_SECONDS; attempt++) {
    const { code } = await host.run(['flock', '--exclusive', '--nonblock', lock, 'true'])
    if (code === 0) return
    await sleep(1000)
  }
  throw new SeederError(`VM ${vmid} is being worked on by somebody else for ${IDLE_SECONDS} seconds`, {
    fix: 'wait for it, or look at the tasks in Proxmox VE',
  })
}

/** A command and its effect on the VM's configuration, to be checked: `qm` may fail with exit status 0. */
export interface PlannedCommand {
  readonly argv: Argv
  /** Settings that must have exactly this value. */
  readonly sets?: Readonly<Record<string, string>>
  /** A disk that must have at least this number of bytes. */
  readonly grows?: { readonly slot: string; readonly bytes: number }
}

/** The tags of every node, beside its role. */
export const nodeTags = ['seeder', 'node'] as const
/** The description of a node's VM, with the line that marks it as ours. */
export function describeNode(entry: Pick<NodeEntry, 'name' | 'role' | 'token' | 'template'>): string {
  return [
    `${entry.role} ${entry.name}, a clone of template ${entry.template.vmid} (${entry.template.version}), made by \`seeder node\`.`,
    'It is replaced rather than changed. Without the next line Seeder does not touch it any more.',
    '',
    `seeder-node: ${entry.token}`,
  ].join('\n')
}

/**
 * How the guest with an entry's id relates to it:
 *   ours        it is the node
 *   incomplete  it is the rest of the node: `qm clone` or `qm destroy` was killed, and the configuration has no token
 *   foreign     it is another guest
 */
export type Ownership = 'ours' | 'incomplete' | 'foreign'

/** How the guest with an entry's id relates to it. */
export function ownershipOf(entry: NodeEntry, guest: Guest): Ownership {
  if (guest.vmid !== entry.vmid || guest.kind !== 'qemu' || !entry.cloned) return 'foreign'
  if (guest.description.split('\n').includes(`seeder-node: ${entry.token}`)) {
    const tags = tagsOf(guest)
    // A clone has the template's tags until it gets its own.
    const expected = ['creating', 'destroying'].includes(entry.state) ? ['seeder'] : nodeTags
    return expected.every((tag) => tags.has(tag)) ? 'ours' : 'foreign'
  }
  if (entry.state === 'creating' || entry.state === 'destroying')
    return isIncomplete(guest) ? 'incomplete' : 'foreign'
  return 'foreign'
}

/**
 * Whether `qm clone` was killed at its beginning, or `qm destroy` at its end. Either may have been unlocked since.
 */
function isIncomplete({ settings, description }: Guest): boolean {
  const others = [...settings.keys()].filter((key) => key !== 'lock')
  const lock = settings.get('lock')
  const clone = description.trim() === 'qmclone temporary file'
  if (others.length > 0) return false
  return clone
    ? lock === 'clone' || lock === undefined
    : description === '' && (lock === 'destroyed' || !lock)
}
