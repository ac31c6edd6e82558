import { setTimeout as sleep } from 'node:timers/promises'
import { interruption } from '../../process/interruption.ts'
import { SeederError } from '../../report/error.ts'
import { type Argv, failureReason, type Host } from '../commands.ts'
import { guestExec, guestOutput } from './guest.ts'
import { type LedgerMember, mainAddress, type NodeEntry } from './ledger.ts'
import type { NodeWork } from './recover.ts'

/** The operator's command in every member: see images/etcd/README.md. */
const PROGRAM = '/usr/lib/seeder/etcd'

/** It waits up to five minutes for what it needs. */
export const COMMAND_SECONDS = 330
/** It waits half a minute for an election. */
const LIST_SECONDS = 90
const PAUSE_MS = 3000

/** A member as the cluster lists it. */
export interface LiveMember extends LedgerMember {
  /** `-` as long as it was never started and nobody knows its name. */
  readonly name: string
  readonly is: string
}

/** A cluster of etcd, as one of its voting members sees it. */
export interface EtcdCluster {
  /** The nodes to query. */
  readonly via: NodeEntry
  readonly members: readonly LiveMember[]
}

/** What `etcd members` prints. */
export function parseMembers(text: string): LiveMember[] {
  return text.split('\n').flatMap((line) => {
    const [name, address, , is] = line.trim().split(/\s+/)
    return name !== undefined && address !== undefined && is !== undefined ? [{ name, address, is }] : []
  })
}

/** Queries one node after the other for its cluster; undefined when none of them knows one. */
export async function findCluster(host: Host, nodes: readonly NodeEntry[]): Promise<EtcdCluster | undefined> {
  for (const via of nodes) {
    const said = await guestExec(host, via.vmid, [PROGRAM, 'members'], LIST_SECONDS).catch(() => undefined)
    if (said?.code === 0) return { via, members: parseMembers(said.stdout) }
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

/** A node's place in a cluster, by its address, which it has before its name is known. */
export function findMember(
  cluster: EtcdCluster,
  entry: Pick<NodeEntry, 'addresses'>,
): LiveMember | undefined {
  return cluster.members.find(({ address }) => address === mainAddress(entry))
}

/** The command that gives a node its place, as a learner. */
export function addCommand(entry: Pick<NodeEntry, 'name' | 'addresses'>): Argv {
  return [PROGRAM, 'add', entry.name, mainAddress(entry)]
}

/** The command that makes a learner a voting member. */
export function promoteCommand(name: string): Argv {
  return [PROGRAM, 'promote', name]
}

/** Gives a node its place, unless it has it. */
export async function addMember(host: Host, cluster: EtcdCluster, entry: NodeEntry): Promise<void> {
  if (!findMember(cluster, entry))
    await guestOutput(host, cluster.via.vmid, addCommand(entry), COMMAND_SECONDS)
}

/** Makes a node a voting member; waits until it has all data. */
export async function promoteMember(host: Host, { via }: EtcdCluster, name: string): Promise<void> {
  await guestOutput(host, via.vmid, promoteCommand(name), COMMAND_SECONDS)
}

/**
 * Takes a node out of a cluster; one that is not in it is fine.
 * @param by another member
 */
export async function removeMember(host: Host, by: NodeEntry, entry: NodeEntry): Promise<void> {
  const cluster = await findCluster(host, [by])
  if (!cluster) {
    throw new SeederError(`${by.name} (VM ${by.vmid}) does not know its cluster now`, {
      fix: `see what it says, then run the same command again: qm guest exec ${by.vmid} -- ${PROGRAM} health`,
    })
  }
  if (!findMember(cluster, entry)) return
  await guestOutput(host, by.vmid, [PROGRAM, 'remove', mainAddress(entry)], COMMAND_SECONDS)
}

/**
 * Waits until a member is well, and its cluster has a quorum.
 * @throws SeederError with what the member said last
 */
export async function awaitHealth(host: Host, { name, vmid }: NodeEntry, timeoutMs: number): Promise<void> {
  for (
    const deadline = performance.now() + timeoutMs;
    ;
    await sleep(PAUSE_MS, undefined, { signal: interruption })
  ) {
    const said = await guestExec(host, vmid, [PROGRAM, 'health'])
    if (said.code === 0) return
    if (performance.now() < deadline) continue
    const reason = /"reason":"([^"]*)"/.exec(said.stdout)?.[1]
    throw new SeederError(`${name} (VM ${vmid}) is not well: ${reason || failureReason(said)}`, {
      fix: 'see “etcd” in docs/operations.md; then run the same command again',
    })
  }
}

/**
 * Gives a new member its place, by a member that is well. One whose place it takes and that is dead is taken out first:
 * with a voting member missing, a cluster takes no other change.
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

/** Makes a member that has started a voting one, and waits until it is well. */
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

/** Takes the old member out, by the new one, and waits until that is well without it. */
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

/** The cluster as a member sees it that is neither coming nor going; as the one that goes does, if there is no other. */
export async function requireCluster(
  work: NodeWork,
  [entry, old]: readonly [NodeEntry, NodeEntry | undefined],
): Promise<EtcdCluster> {
  const nodes = etcdNodes(await work.ledger.read(), [entry.name])
  const lasting = nodes.filter(({ name }) => name !== old?.name)
  const cluster = await findCluster(work.host, [...lasting, ...nodes.filter((one) => !lasting.includes(one))])
  if (cluster) return cluster
  throw new SeederError(`${entry.name} cannot join: no other member of its cluster answers on this host`, {
    fix: 'start them, then run the same command again',
  })
}
