import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from '../checks.ts'
import { awaitNode, seconds } from '../first-boot.ts'
import { joinerValues, printedMembers } from './configuration.ts'
import {
  awaitCluster,
  changeMembers,
  describeMembers,
  expectNothingLost,
  REQUEST_TIMEOUT_MS,
} from './membership.ts'
import { bootMember, type ClusterMember, type EtcdTestBed, peersOf } from './test-bed.ts'
import { longestPause } from './writer.ts'

/** The maximum pause of writes without a leader, in milliseconds: an election and a client's new attempts. */
const electionLimitMs = { kvm: 10_000, tcg: 45_000 }

/**
 * Adds a new clone to the cluster as the runbook does: as a learner, which is promoted once it has all data.
 * @param by the member on which the operator's commands run
 */
async function join(bed: EtcdTestBed, by: ClusterMember, name: string): Promise<ClusterMember> {
  const [peer] = peersOf(bed, [name])
  const printed = await changeMembers(by, 'add', name, peer?.address ?? '')
  const members = printedMembers(printed)
  expect(members !== undefined, `\`etcd add\` did not print ETCD_MEMBERS: ${printed.trim()}`)
  const joined = await bootMember(bed, name, joinerValues(members))
  await awaitNode(joined.clone, bed.bootTimeoutMs)
  const listed = await bed.client.members(by.address, REQUEST_TIMEOUT_MS)
  expect(
    listed.some((member) => member.name === name && member.learner),
    `${name} has to join as a learner; the cluster has: ${describeMembers(listed)}`,
  )
  await changeMembers(by, 'promote', name)
  return joined
}

/**
 * Kills the leader's VM under a writer, and waits until writes continue under another leader.
 * @returns the lost member, and the detail of the check
 */
export async function killLeader(
  bed: EtcdTestBed,
  members: readonly ClusterMember[],
  measured: Record<string, number>,
): Promise<{ lost: ClusterMember; detail: string }> {
  const { writer } = bed
  const limitMs = electionLimitMs[bed.emulator.accelerator]
  const lost = await awaitCluster(bed, members, limitMs)
  const left = members.filter((member) => member !== lost)
  const killed = performance.now()
  await lost.clone.kill()
  const leader = await awaitLeader(bed, left, limitMs)
  const elected = performance.now()
  const next = await writer.nextAfter(elected, limitMs)
  expect(next !== undefined, `${leader.name} leads, but no write was acknowledged for ${seconds(limitMs)}`)
  measured.leaderLostMs = Math.round(longestPause(writer.acknowledged, killed))
  const writes = await expectNothingLost(bed, left)
  const detail = `${leader.name} leads after the VM of ${lost.name} was killed; writes paused for ${seconds(measured.leaderLostMs)}; ${writes} acknowledged, none lost`
  return { lost, detail }
}

async function awaitLeader(
  bed: EtcdTestBed,
  members: readonly ClusterMember[],
  timeoutMs: number,
): Promise<ClusterMember> {
  for (const deadline = performance.now() + timeoutMs; performance.now() < deadline; await sleep(200)) {
    const statuses = await Promise.all(
      members.map(({ address }) => bed.client.status(address, REQUEST_TIMEOUT_MS).catch(() => undefined)),
    )
    const leader = members.find((_, index) => {
      const id = statuses[index]?.id
      return id !== undefined && statuses.every((status) => status?.leader === id)
    })
    if (leader) return leader
  }
  const names = members.map(({ name }) => name).join(', ')
  expect(false, `${names} did not agree on a leader within ${seconds(timeoutMs)}`)
}

/** Replaces a dead member by a clone with a new name. */
export async function replaceLost(
  bed: EtcdTestBed,
  old: readonly ClusterMember[],
  lost: ClusterMember,
  name: string,
): Promise<ClusterMember[]> {
  const left = old.filter((member) => member !== lost)
  const [by] = left
  expect(by !== undefined, 'no member is left')
  await changeMembers(by, 'remove', lost.name)
  const members = [...left, await join(bed, by, name)]
  bed.writer.members = members.map(({ address }) => address)
  await awaitCluster(bed, members, 60_000)
  return members
}

/**
 * Replaces all members, one at a time: the new one joins before the old one leaves, so that the cluster never has fewer
 * members than at the start. Old VMs power off while the next one boots.
 * @returns the new members, and how long each old VM takes to power off, in milliseconds
 */
export async function replaceMembers(
  bed: EtcdTestBed,
  old: readonly ClusterMember[],
  names: readonly string[],
): Promise<{ members: readonly ClusterMember[]; shutDowns: readonly Promise<number>[] }> {
  let members = [...old]
  const shutDowns: Promise<number>[] = []
  for (const [index, leaving] of old.entries()) {
    const by = members.find((member) => member !== leaving)
    expect(by !== undefined, 'there is no other member')
    const joined = await join(bed, by, names[index] ?? '')
    members = [...members.filter((member) => member !== leaving), joined]
    bed.writer.members = members.map(({ address }) => address)
    await changeMembers(joined, 'remove', leaving.name)
    const off = leaving.clone.shutDown(120_000)
    // The caller awaits it; until then a failure must not count as unhandled.
    off.catch(() => undefined)
    shutDowns.push(off)
  }
  await awaitCluster(bed, members, 60_000)
  return { members, shutDowns }
}
