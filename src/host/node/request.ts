import type { NodeValues } from '../../guest/node-env.ts'
import type { RoleName } from '../../platform/schema.ts'
import { UsageError } from '../../report/error.ts'
import { nodeName } from './ledger.ts'

/** A request for nodes, all of the same role. */
export interface NodeRequest {
  readonly names: readonly string[]
  readonly role: RoleName
  /** They found a new cluster of etcd. */
  readonly newCluster: boolean
  readonly vmids: VmidRange
  /** Copies the template's disk instead of building on it. */
  readonly full: boolean
  /** The storage of a full clone and of a data disk; by default that of the template. */
  readonly storage: string | undefined
  /** A disk of its own for the data of etcd, in GiB. */
  readonly dataDisk: number | undefined
  /** A file of public keys, as `qm set --sshkeys` reads it. */
  readonly sshKeys: string | undefined
  readonly user: string | undefined
  /** The values that the operator gives. They override derived values; an empty one removes a derived value. */
  readonly values: NodeValues
}

/**
 * Checks a request by itself.
 * @throws UsageError for a request that makes no sense
 */
export function checkRequest(request: NodeRequest): void {
  const { names, role, newCluster, vmids, dataDisk, storage, full, user } = request
  const bad = names.find((name) => !nodeName.safeParse(name).success)
  if (bad !== undefined) {
    throw new UsageError(`"${bad}" is not a name for a node`, {
      fix: 'use lower-case letters, digits and hyphens, with a letter in it, at most 63',
    })
  }
  const twice = names.find((name, index) => names.indexOf(name) < index)
  if (twice !== undefined) throw new UsageError(`${twice} is named twice`, { fix: 'name every node once' })
  if (vmids.last - vmids.first + 1 < names.length) {
    throw new UsageError(`${names.length} nodes do not fit into the VM ids ${vmids.first}-${vmids.last}`, {
      fix: 'give a larger range',
    })
  }
  if (role !== 'etcd' && (newCluster || dataDisk !== undefined)) {
    throw new UsageError(`${newCluster ? '--new-cluster' : '--data-disk'} is for etcd, not for a ${role}`, {
      fix: 'leave it out',
    })
  }
  if (role === 'etcd' && !newCluster && names.length > 1) {
    throw new UsageError('A cluster of etcd takes one new member at a time', {
      fix: 'create one after the other, or add --new-cluster when they found a cluster',
    })
  }
  if (storage !== undefined && !full && dataDisk === undefined) {
    throw new UsageError('--storage is for a full clone or a data disk', {
      fix: 'add --full; a linked clone is on the storage of its template',
    })
  }
  if (user !== undefined && !/^[a-z_][a-z0-9_-]{0,31}$/.test(user)) {
    throw new UsageError(`"${user}" is not a user's name`, { fix: 'use lower-case letters, digits, - and _' })
  }
}
/** The ids for VMs of nodes, both ends included. */

export interface VmidRange {
  readonly first: number
  readonly last: number
}
/**
 * The default: between the ids that Proxmox VE suggests, the lowest free ones from 100 on, and those of templates, from
 * 9000 on.
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
