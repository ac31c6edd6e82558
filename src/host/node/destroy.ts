import { SeederError, UsageError } from '../../report/error.ts'
import { readGuests } from '../guests.ts'
import { etcdNodes, findCluster, findMember, removeMember } from './etcd.ts'
import { mainAddress, type NodeEntry } from './ledger.ts'
import { classifyMachine, isRunning } from './machine.ts'
import { type NodeWork, removeNode } from './recover.ts'

/**
 * Destroys nodes: their VMs with all disks, their vendor data and entries. All of them are checked before any is
 * destroyed.
 * @param finished nodes that a killed run had begun to destroy and that are gone now; it may have been for the same
 * names
 * @param force also destroys nodes that run, and all members of a cluster of etcd at once
 * @throws UsageError for a node that is not ours, runs, or is needed
 */
export async function destroyNodes(
  work: NodeWork,
  names: readonly string[],
  finished: readonly string[],
  force: boolean,
): Promise<void> {
  const entries = await work.ledger.read()
  const continues = names.some((name) => finished.includes(name))
  const left = continues ? names.filter((name) => entries.some((entry) => entry.name === name)) : names
  const chosen = left.map((name) => requireEntry(entries, name))
  const guests = await readGuests()
  for (const entry of chosen) {
    const { guest, is } = classifyMachine(entry, work.node, guests)
    if (is === 'foreign' && entry.state !== 'reserved') {
      throw new UsageError(
        `VM ${entry.vmid} is not ${entry.name} (any more): its tags or its description say so`,
        {
          fix: `if it is, write its token back: the description needs the line "seeder-node: ${entry.token}", the tags seeder and node`,
        },
      )
    }
    if (is === 'elsewhere') {
      throw new UsageError(`${entry.name} (VM ${entry.vmid}) is on ${guest?.node}, not on ${work.node}`, {
        fix: 'migrate it back first: what is known of it is here',
      })
    }
    if (is === 'ours' && !force && (await isRunning(work.host, entry.vmid))) {
      throw new UsageError(`${entry.name} (VM ${entry.vmid}) runs`, {
        fix: 'shut it down first, or add --force',
      })
    }
  }
  await leaveCluster(work, entries, chosen, force)
  // From here on the next run, of whatever command, finishes a killed one.
  const destroying = chosen.map((entry) => ({ ...entry, state: 'destroying' as const }))
  for (const entry of destroying) await work.ledger.write(entry)
  for (const entry of destroying) {
    await removeNode(work, entry, true)
    work.note(`${entry.name} is gone: VM ${entry.vmid}, its disks and its vendor data`)
  }
}

/**
 * The entry of a node.
 * @throws UsageError when there is no entry of that name
 */
export function requireEntry(entries: readonly NodeEntry[], name: string): NodeEntry {
  const entry = entries.find((known) => known.name === name)
  if (entry) return entry
  const names = entries.map((known) => known.name).join(', ')
  throw new UsageError(`${name} is no node that \`seeder node\` has made on this host`, {
    fix: names === '' ? 'it has made no node; destroy other VMs with Proxmox VE' : `there are: ${names}`,
  })
}

/** Refuses members that their cluster of etcd counts on. A member that never got a vote is removed from the cluster. */
async function leaveCluster(
  work: NodeWork,
  entries: readonly NodeEntry[],
  chosen: readonly NodeEntry[],
  force: boolean,
): Promise<void> {
  const members = chosen.filter(
    ({ role, state, joins }) => role === 'etcd' && (state !== 'creating' || joins),
  )
  if (members.length === 0) return
  const names = members.map(({ name }) => name)
  const cluster = await findCluster(work.host, etcdNodes(entries, names))
  if (!cluster) return requireWholeCluster(work, members, force)
  for (const entry of members) {
    const member = findMember(cluster, entry)
    if (!member) continue
    if (entry.state !== 'created' && ['learner', 'unstarted'].includes(member.is)) {
      await removeMember(work.host, cluster.via, entry)
      work.note(`${entry.name} gave its place in the cluster back`)
      continue
    }
    throw new UsageError(`${entry.name} is a member of its cluster of etcd still (${member.is})`, {
      fix: `replace it: seeder node replace ${entry.name} --with NAME; or take it out: qm guest exec ${cluster.via.vmid} --timeout 330 -- /usr/lib/seeder/etcd remove ${entry.name}`,
    })
  }
}

/** When no other member can be reached, only the whole cluster may be destroyed, and only by force. */
async function requireWholeCluster(
  work: NodeWork,
  members: readonly NodeEntry[],
  force: boolean,
): Promise<void> {
  const cluster = await findCluster(work.host, members)
  const others =
    cluster?.members.filter(({ address }) => !members.some((entry) => mainAddress(entry) === address)) ?? []
  if (others.length > 0) {
    const names = others.map(({ name }) => name).join(', ')
    throw new SeederError(`The cluster has other members that cannot be reached: ${names}`, {
      fix: 'start them, or destroy them with the others',
    })
  }
  if (force) return
  const names = members.map(({ name }) => name).join(', ')
  throw new UsageError(
    `Whether ${names} can be spared is not known: no other member of the cluster answers`,
    {
      fix: 'start one of the others; or add --force when the cluster and its data are to go',
    },
  )
}
