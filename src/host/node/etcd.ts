import { setTimeout as sleep } from 'node:timers/promises'
import { interruption } from '../../process/interruption.ts'
import { SeederError } from '../../report/error.ts'
import { type Argv, failureReason, type Host } from '../commands.ts'
import { guestExec, guestOutput } from './guest.ts'
import { type LedgerMember, mainAddress, type NodeEntry } from './ledger.ts'
import type { NodeWork } from './recover.ts'

/** The operator's command in every member; see images/etcd/README.md. */
const PROGRAM = '/usr/lib/seeder/etcd'

/** The command itself waits up to five minutes. */
export const COMMAND_SECONDS = 330
/** `members` waits half a minute for an election. */
const LIST_SECONDS = 90
const PAUSE_MS = 3000

/** A member as the cluster lists it. */
export interface LiveMember extends LedgerMember {
  /** `-` until its first start: the cluster does not know its name before. */
  readonly name: string
  readonly is: string
}

/** A cluster of etcd, as one of its voting members sees it. */
export interface EtcdCluster {
  /** The node that answered, and that runs the operator's commands. */
  readonly via: NodeEntry
  readonly members: readonly LiveMember[]
}

/** The members in the output of `etcd members`. */
export function parseMembers(text: string): LiveMember[] {
  return text.split('\n').flatMap((line) => {
    const [name, address, , is] = line.trim().split(/\s+/)
    return name !== undefined && address !== undefined && is !== undefined ? [{ name, address, is }] : []
  })
}

/** Queries one node after the other for its cluster; undefined when no node knows a cluster. */
export async function findCluster(host: Host, nodes: readonly NodeEntry[]): Promise<EtcdCluster | undefined> {
  for (const via of nodes) {
    const ended = await guestExec(host, via.vmid, [PROGRAM, 'members'], LIST_SECONDS).catch(() => undefined)
    if (ended?.code === 0) return { via, members: parseMembers(ended.stdout) }
  }
  return undefined
}

/** The nodes that can be queried for a cluster. */
export function etcdNodes(entries: readonly NodeEntry[], except: readonly string[]): NodeEntry[] {
  return entries.filter(
    ({ name, role, state }) =>
      role === 'etcd' && ['created', 'starting'].includes(state) && !except.includes(name),
  )
}

/** A node as its cluster lists it, by its address: its name may not be known yet. */
export function findMember(
  cluster: EtcdCluster,
  entry: Pick<NodeEntry, 'addresses'>,
): LiveMember | undefined {
  return cluster.members.find(({ address }) => address === mainAddress(entry))
}

/** The command that adds a node as a learner. */
export function addCommand(entry: Pick<NodeEntry, 'name' | 'addresses'>): Argv {
  return [PROGRAM, 'add', entry.name, mainAddress(entry)]
}

/** The command that makes a learner a voting member. */
export function promoteCommand(name: string): Argv {
  return [PROGRAM, 'promote', name]
}

/** Adds a node to a cluster, unless it is a member. */
export async function addMember(host: Host, cluster: EtcdCluster, entry: NodeEntry): Promise<void> {
  if (!findMember(cluster, entry))
    await guestOutput(host, cluster.via.vmid, addCommand(entry), COMMAND_SECONDS)
}

/** Makes a node a voting member, once it has all data. */
export async function promoteMember(host: Host, { via }: EtcdCluster, name: string): Promise<void> {
  await guestOutput(host, via.vmid, promoteCommand(name), COMMAND_SECONDS)
}

/**
 * Removes a node from its cluster, if it is a member.
 * @param by another member
 */
export async function removeMember(host: Host, by: NodeEntry, entry: NodeEntry): Promise<void> {
  const cluster = await findCluster(host, [by])
  if (!cluster) {
    throw new SeederError(`${by.name} (VM ${by.vmid}) does not know its cluster now`, {
      fix: `see its health, then run the same command again: qm guest exec ${by.vmid} -- ${PROGRAM} health`,
    })
  }
  if (!findMember(cluster, entry)) return
  await guestOutput(host, by.vmid, [PROGRAM, 'remove', mainAddress(entry)], COMMAND_SECONDS)
}

/**
 * Waits until a member is healthy, and its cluster has a quorum.
 * @throws SeederError with the last reason that the member reported
 */
export async function awaitHealth(host: Host, { name, vmid }: NodeEntry, timeoutMs: number): Promise<void> {
  for (
    const deadline = performance.now() + timeoutMs;
    ;
    await sleep(PAUSE_MS, undefined, { signal: interruption })
  ) {
    const ended = await guestExec(host, vmid, [PROGRAM, 'health'])
    if (ended.code === 0) return
    if (performance.now() < deadline) continue
    const reason = /"reason":"([^"]*)"/.exec(ended.stdout)?.[1]
    throw new SeederError(`${name} (VM ${vmid}) is not well: ${reason || failureReason(ended)}`, {
      fix: 'see “etcd” in docs/operations.md; then run the same command again',
    })
  }
}

/**
 * Adds a new member to its cluster, through a healthy one. If the node that it replaces does not answer, that is
 * removed first: a cluster with a missing voter accepts no other change.
 */
export async function joinCluster(
  work: NodeWork,
  entry: NodeEntry,
  old: NodeEntry | undefined,
  timeoutMs: number,
): Promise<void> {
  const cluster = await requireCluster(work, [entry, old])
  await awaitHealth(work.host, cluster.via, timeoutMs)
  if (old && findMember(cluster, old)?.is === 'silent') {
    await removeMember(work.host, cluster.via, old)
    work.note(`${old.name}: does not answer, and is no member any more`)
  }
  await addMember(work.host, cluster, entry)
  work.note(`${entry.name}: has its place in the cluster of ${cluster.via.name}`)
}

/** Gives a member that has started a vote, and waits until it is healthy. */
export async function becomeVoter(
  work: NodeWork,
  entry: NodeEntry,
  old: NodeEntry | undefined,
  timeoutMs: number,
): Promise<void> {
  const cluster = await requireCluster(work, [entry, old])
  await promoteMember(work.host, cluster, entry.name)
  await awaitHealth(work.host, entry, timeoutMs)
  work.note(`${entry.name}: votes, and is well`)
}

/** Removes the old member through the new one, and waits until the new one is healthy without it. */
export async function leaveCluster(
  work: NodeWork,
  entry: NodeEntry,
  old: NodeEntry,
  timeoutMs: number,
): Promise<void> {
  await removeMember(work.host, entry, old)
  await awaitHealth(work.host, entry, timeoutMs)
  work.note(`${old.name}: is no member any more`)
}

/**
 * The cluster as a member sees it that is neither added nor replaced; as the replaced one does, if there is no other.
 */
export async function requireCluster(
  work: NodeWork,
  [entry, old]: readonly [NodeEntry, NodeEntry | undefined],
): Promise<EtcdCluster> {
  const nodes = etcdNodes(await work.ledger.read(), [entry.name])
  const staying = nodes.filter(({ name }) => name !== old?.name)
  const replaced = nodes.filter(({ name }) => name === old?.name)
  const cluster = await findCluster(work.host, [...staying, ...replaced])
  if (cluster) return cluster
  throw new SeederError(`${entry.name} cannot join: no other member of its cluster answers on this host`, {
    fix: 'start them, then run the same command again',
  })
}
