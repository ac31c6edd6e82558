import { SeederError } from '../../report/error.ts'
import {
  addMember,
  awaitHealth,
  type EtcdCluster,
  etcdNodes,
  findCluster,
  placeOf,
  promoteMember,
  removeMember,
} from './etcd.ts'
import type { NodeEntry } from './ledger.ts'
import type { NodeWork } from './recover.ts'

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
  if (old && placeOf(cluster, old)?.is === 'silent') {
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
async function requireCluster(
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
