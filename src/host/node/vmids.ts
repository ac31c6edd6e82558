import { SeederError, UsageError } from '../../report/error.ts'
import type { Guest } from '../guests.ts'
import type { Volume } from '../storage.ts'
import type { NodeEntry } from './ledger.ts'

/** Ids that nodes get, both ends included. */
export interface VmidRange {
  readonly first: number
  readonly last: number
}

/**
 * Where no range is given. Proxmox VE itself suggests the lowest free id from 100 on, and templates are at 9000: in
 * between nobody is in the way.
 */
export const defaultVmids: VmidRange = { first: 200, last: 999 }

/** `200-299`, or one id. */
export function parseVmidRange(text: string): VmidRange {
  const [, first = '', last = first] = /^(\d{3,9})(?:-(\d{3,9}))?$/.exec(text) ?? []
  const range = { first: Number(first), last: Number(last) }
  if (first !== '' && range.first >= 100 && range.first <= range.last) return range
  throw new UsageError(`"${text}" is not a range of VM ids`, {
    fix: 'write it as 200-999; the lowest id is 100',
  })
}

/**
 * The lowest id of a range that nothing has: no guest of the cluster, no entry, and no disk that somebody left on a
 * storage, which a node of that id would take with it when it is destroyed.
 * @throws SeederError when there is none
 */
export function nextFreeVmid(
  { first, last }: VmidRange,
  guests: readonly Guest[],
  entries: readonly Pick<NodeEntry, 'vmid'>[],
  volumes: readonly Volume[],
): number {
  const taken = new Set([...guests, ...entries, ...volumes].map(({ vmid }) => vmid))
  for (let vmid = first; vmid <= last; vmid++) if (!taken.has(vmid)) return vmid
  if (first === last) {
    const disk = volumes.find(({ vmid }) => vmid === first)
    const guest = guests.find(({ vmid }) => vmid === first)
    const holder = guest
      ? `a ${guest.kind === 'qemu' ? 'VM' : 'container'} on ${guest.node}`
      : disk
        ? `the disk ${disk.id}`
        : 'a node that is being made'
    throw new SeederError(`VM id ${first} is taken by ${holder}`, { fix: 'choose another one' })
  }
  throw new SeederError(`No VM id from ${first} to ${last} is free`, { fix: 'give a larger --vmid-range' })
}
