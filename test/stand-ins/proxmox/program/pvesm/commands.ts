import { boolean, oneOf, type Spec, text } from '../check.ts'
import { type Commands, options } from '../command.ts'
import { storageId, vmid } from '../formats.ts'

const run = () => import('./pvesm.ts')

/** Properties of a storage that can be given. */
const properties: Readonly<Record<string, Spec>> = {
  content: text,
  'create-base-path': boolean,
  'create-subdirs': boolean,
  disable: boolean,
  is_mountpoint: text,
  mkdir: boolean,
  nodes: text,
  path: text,
  pool: text,
  preallocation: text,
  shared: boolean,
  'snapshot-as-volume-chain': boolean,
  sparse: boolean,
  thinpool: text,
  vgname: text,
}

/** The commands of `pvesm` that the stand-in knows. */
export const pvesmCommands: Commands = {
  add: {
    usage: 'pvesm add <type> <storage> [OPTIONS]',
    positional: [
      ['type', oneOf('dir', 'lvmthin', 'zfspool')],
      ['storage', storageId],
    ],
    option: options(properties),
    run: async (call) => (await run()).add(call),
  },
  alloc: {
    usage: 'pvesm alloc <storage> <vmid> <filename> <size> [OPTIONS]',
    positional: [
      ['storage', storageId],
      ['vmid', vmid],
      ['filename', text],
      ['size', text],
    ],
    option: options({ format: oneOf('raw', 'qcow2', 'subvol', 'vmdk') }),
    run: async (call) => (await run()).alloc(call),
  },
  free: {
    usage: 'pvesm free <volume> [OPTIONS]',
    positional: [['volume', text]],
    option: options({ delay: text, storage: storageId }),
    run: async (call) => (await run()).free(call),
  },
  list: {
    usage: 'pvesm list <storage> [OPTIONS]',
    positional: [['storage', storageId]],
    option: options({ content: text, vmid }),
    run: async (call) => (await run()).list(call),
  },
  path: {
    usage: 'pvesm path <volume>',
    positional: [['volume', text]],
    option: options(),
    run: async (call) => (await run()).path(call),
  },
  remove: {
    usage: 'pvesm remove <storage>',
    positional: [['storage', storageId]],
    option: options(),
    run: async (call) => (await run()).remove(call),
  },
  set: {
    usage: 'pvesm set <storage> [OPTIONS]',
    positional: [['storage', storageId]],
    option: options({ ...properties, delete: text, digest: text }),
    run: async (call) => (await run()).set(call),
  },
  status: {
    usage: 'pvesm status  [OPTIONS]',
    positional: [],
    option: options({ content: text, enabled: boolean, storage: storageId, target: text }),
    run: async (call) => (await run()).status(call),
  },
}
