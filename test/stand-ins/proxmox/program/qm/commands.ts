import { boolean, integer, oneOf, text } from '../check.ts'
import { type Commands, options } from '../command.ts'
import { dnsName, storageId, vmid } from '../formats.ts'
import { vmOption } from '../vm-options.ts'

const one = [['vmid', vmid]] as const
const format = oneOf('raw', 'qcow2', 'vmdk')
const snapshotName = [...one, ['snapname', text]] as const

const createOptions = options({
  archive: text,
  bwlimit: integer(0),
  cdrom: text,
  force: boolean,
  'ha-managed': boolean,
  'import-working-storage': storageId,
  'live-restore': boolean,
  pool: text,
  start: boolean,
  storage: storageId,
  unique: boolean,
})
const setOptions = options({
  background_delay: integer(1, 30),
  delete: text,
  digest: text,
  force: boolean,
  revert: text,
  skiplock: boolean,
})
const importLine = {
  positional: [...one, ['source', text], ['storage', storageId]] as const,
  option: options({ format, 'target-disk': text }),
}
const rescanLine = { positional: [], option: options({ dryrun: boolean, vmid }) }
const resizeLine = {
  positional: [...one, ['disk', text], ['size', text]] as const,
  option: options({ digest: text, skiplock: boolean }),
}
const disk = () => import('./disk.ts')
const state = () => import('./state.ts')
const show = () => import('./show.ts')
const cloudInit = () => import('./cloudinit.ts')
const power = () => import('./power.ts')
const guest = () => import('./guest.ts')

/** The commands of `qm` that the stand-in knows. */
export const qmCommands: Commands = {
  clone: {
    usage: 'qm clone <vmid> <newid> [OPTIONS]',
    positional: [...one, ['newid', vmid]],
    option: options({
      bwlimit: integer(0),
      description: text,
      format,
      full: boolean,
      name: dnsName,
      pool: text,
      snapname: text,
      storage: storageId,
      target: text,
    }),
    run: async (call) => (await import('./clone.ts')).clone(call),
  },
  'cloudinit dump': {
    usage: 'qm cloudinit dump <vmid> <type>',
    positional: [...one, ['type', oneOf('user', 'network', 'meta')]],
    option: options(),
    run: async (call) => (await cloudInit()).dump(call),
  },
  'cloudinit pending': {
    usage: 'qm cloudinit pending <vmid>',
    positional: one,
    option: options(),
    run: async (call) => (await cloudInit()).pendingCloudInit(call),
  },
  'cloudinit update': {
    usage: 'qm cloudinit update <vmid>',
    positional: one,
    option: options(),
    run: async (call) => (await cloudInit()).update(call),
  },
  config: {
    usage: 'qm config <vmid> [OPTIONS]',
    positional: one,
    option: options({ current: boolean, snapshot: text }),
    run: async (call) => (await show()).config(call),
  },
  create: {
    usage: 'qm create <vmid> [OPTIONS]',
    positional: one,
    option: (name) => createOptions(name) ?? vmOption(name),
    run: async (call) => (await import('./create.ts')).create(call),
  },
  delsnapshot: {
    usage: 'qm delsnapshot <vmid> <snapname> [OPTIONS]',
    positional: snapshotName,
    option: options({ force: boolean }),
    run: async (call) => (await state()).deleteSnapshot(call),
  },
  destroy: {
    usage: 'qm destroy <vmid> [OPTIONS]',
    positional: one,
    option: options({ 'destroy-unreferenced-disks': boolean, purge: boolean, skiplock: boolean }),
    run: async (call) => (await import('./destroy.ts')).destroy(call),
  },
  'disk import': {
    usage: 'qm disk import <vmid> <source> <storage> [OPTIONS]',
    ...importLine,
    run: async (call) => (await disk()).importDisk(call),
  },
  'disk rescan': {
    usage: 'qm disk rescan  [OPTIONS]',
    ...rescanLine,
    run: async (call) => (await disk()).rescan(call),
  },
  'disk resize': {
    usage: 'qm disk resize <vmid> <disk> <size> [OPTIONS]',
    ...resizeLine,
    run: async (call) => (await disk()).resize(call),
  },
  'guest cmd': {
    usage: 'qm guest cmd <vmid> <command>',
    option: options(),
    positional: [...one, ['command', text]],
    run: async (call) => (await guest()).command(call),
  },
  'guest exec': {
    usage: 'qm guest exec <vmid> [<extra-args>] [OPTIONS]',
    positional: one,
    extra: true,
    option: options({ 'pass-stdin': boolean, synchronous: boolean, timeout: integer(0) }),
    run: async (call) => (await guest()).exec(call),
  },
  'guest exec-status': {
    usage: 'qm guest exec-status <vmid> <pid>',
    option: options(),
    positional: [...one, ['pid', integer()]],
    run: async (call) => (await guest()).execStatus(call),
  },
  importdisk: {
    usage: 'qm disk import <vmid> <source> <storage> [OPTIONS]',
    ...importLine,
    run: async (call) => (await disk()).importDisk(call),
  },
  list: {
    usage: 'qm list  [OPTIONS]',
    positional: [],
    option: options({ full: boolean }),
    run: async () => (await show()).list(),
  },
  pending: {
    usage: 'qm pending <vmid>',
    positional: one,
    option: options(),
    run: async (call) => (await show()).pending(call),
  },
  reboot: {
    usage: 'qm reboot <vmid> [OPTIONS]',
    positional: one,
    option: options({ timeout: integer(0) }),
    run: async (call) => (await power()).reboot(call),
  },
  rescan: {
    usage: 'qm disk rescan  [OPTIONS]',
    ...rescanLine,
    run: async (call) => (await disk()).rescan(call),
  },
  resize: {
    usage: 'qm disk resize <vmid> <disk> <size> [OPTIONS]',
    ...resizeLine,
    run: async (call) => (await disk()).resize(call),
  },
  set: {
    usage: 'qm set <vmid> [OPTIONS]',
    positional: one,
    option: (name) => setOptions(name) ?? vmOption(name),
    run: async (call) => (await import('./set.ts')).set(call),
  },
  shutdown: {
    usage: 'qm shutdown <vmid> [OPTIONS]',
    positional: one,
    option: options({ forceStop: boolean, keepActive: boolean, skiplock: boolean, timeout: integer(0) }),
    run: async (call) => (await power()).shutdown(call),
  },
  snapshot: {
    usage: 'qm snapshot <vmid> <snapname> [OPTIONS]',
    positional: snapshotName,
    option: options({ description: text, vmstate: boolean }),
    run: async (call) => (await state()).snapshot(call),
  },
  start: {
    usage: 'qm start <vmid> [OPTIONS]',
    positional: one,
    option: options({ skiplock: boolean, timeout: integer(0) }),
    run: async (call) => (await import('./start.ts')).start(call),
  },
  status: {
    usage: 'qm status <vmid> [OPTIONS]',
    positional: one,
    option: options({ verbose: boolean }),
    run: async (call) => (await show()).status(call),
  },
  stop: {
    usage: 'qm stop <vmid> [OPTIONS]',
    positional: one,
    option: options({ 'overrule-shutdown': boolean, skiplock: boolean, timeout: integer(0) }),
    run: async (call) => (await power()).stop(call),
  },
  template: {
    usage: 'qm template <vmid> [OPTIONS]',
    positional: one,
    option: options({ disk: text }),
    run: async (call) => (await import('./template.ts')).template(call),
  },
  unlock: {
    usage: 'qm unlock <vmid>',
    positional: one,
    option: options(),
    run: async (call) => (await state()).unlock(call),
  },
}
