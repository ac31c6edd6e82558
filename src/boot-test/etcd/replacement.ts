import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from '../checks.ts'
import { awaitReady, bootTimeoutMs, seconds } from '../first-boot.ts'
import { joinerValues, printedMembers } from './configuration.ts'
import { awaitQuorum, change, describeMembers, expectNothingLost, patienceMs } from './membership.ts'
import { bootMember, type ClusterMember, type ClusterStage, peersOf } from './test-bed.ts'
import { longestPause } from './writer.ts'

/** How long a cluster without its leader may take to go on, in milliseconds: an election and a client's new attempts. */
const electionLimitMs = { kvm: 10_000, tcg: 45_000 }

/**
 * Brings a new clone into the cluster as the runbook says: added as a learner, booted, promoted once it has all data.
 * @param by the member on which the operator's commands are run
 */
export async function join(
  stage: ClusterStage,
  image: string,
  by: ClusterMember,
  name: string,
): Promise<ClusterMember> {
  const [peer] = peersOf(stage, [name])
  const printed = await change(by, 'add', name, peer?.address ?? '')
  const members = printedMembers(printed)
  expect(members !== undefined, `\`etcd add\` did not print ETCD_MEMBERS: ${printed.trim()}`)
  const joined = await bootMember(stage, image, name, joinerValues(members))
  await awaitReady(joined.clone, bootTimeoutMs(stage.emulator.accelerator))
  await joined.clone.agent.ready(60_000)
  const listed = await stage.client.members(by.address, patienceMs)
  expect(
    listed.some((one) => one.name === name && one.learner),
    `${name} is to join as a learner; the cluster has: ${describeMembers(listed)}`,
  )
  await change(by, 'promote', name)
  return joined
}

/**
 * Kills the leader's VM under a writer, and waits until writes go on under another one.
 * @returns what is left, and what was seen
 */
export async function loseLeader(
  stage: ClusterStage,
  members: readonly ClusterMember[],
  measured: Record<string, number>,
): Promise<{ lost: ClusterMember; left: ClusterMember[]; seen: string }> {
  const { writer } = stage
  const limitMs = electionLimitMs[stage.emulator.accelerator]
  const lost = await awaitQuorum(stage, members, limitMs)
  const left = members.filter((one) => one !== lost)
  const killed = performance.now()
  await lost.clone.kill()
  const leader = await awaitLeader(stage, left, limitMs)
  const elected = performance.now()
  const next = await writer.nextAfter(elected, limitMs)
  expect(next !== undefined, `${leader.name} leads, but no write was acknowledged for ${seconds(limitMs)}`)
  measured.leaderLostMs = Math.round(longestPause(writer.acknowledged, killed))
  const writes = await expectNothingLost(stage, left)
  return {
    lost,
    left,
    seen: `${leader.name} leads after the VM of ${lost.name} was killed; writes paused for ${seconds(measured.leaderLostMs)}; ${writes} acknowledged, none lost`,
  }
}

async function awaitLeader(
  stage: ClusterStage,
  left: readonly ClusterMember[],
  timeoutMs: number,
): Promise<ClusterMember> {
  for (const deadline = performance.now() + timeoutMs; performance.now() < deadline; await sleep(200)) {
    const statuses = await Promise.all(
      left.map(({ address }) => stage.client.status(address, patienceMs).catch(() => undefined)),
    )
    const leader = left.find((_, at) => {
      const id = statuses[at]?.id
      return id !== undefined && statuses.every((status) => status?.leader === id)
    })
    if (leader) return leader
  }
  const names = left.map(({ name }) => name).join(', ')
  expect(false, `${names} did not agree on a leader within ${seconds(timeoutMs)}`)
}

/** A dead member's place is taken by a clone with a new name. */
export async function replaceLost(
  stage: ClusterStage,
  image: string,
  lost: ClusterMember,
  left: readonly ClusterMember[],
  name: string,
): Promise<ClusterMember[]> {
  const [by] = left
  expect(by !== undefined, 'nobody is left')
  await change(by, 'remove', lost.name)
  const members = [...left, await join(stage, image, by, name)]
  stage.writer.members = members.map(({ address }) => address)
  await awaitQuorum(stage, members, 60_000)
  return members
}

/** What became of a rolling replacement. */
export interface Rolled {
  readonly members: readonly ClusterMember[]
  /** How long the VMs that were replaced take to power off, in milliseconds. */
  readonly shutDowns: readonly Promise<number>[]
}

/**
 * Replaces every member, one at a time: the new one joins before the old one leaves, so that the cluster never has
 * fewer than it began with. Old VMs power off while the next one boots.
 */
export async function rollOver(
  stage: ClusterStage,
  image: string,
  old: readonly ClusterMember[],
  names: readonly string[],
): Promise<Rolled> {
  let members = [...old]
  const shutDowns: Promise<number>[] = []
  for (const [at, leaving] of old.entries()) {
    const by = members.find((one) => one !== leaving)
    expect(by !== undefined, 'there is no other member')
    const joined = await join(stage, image, by, names[at] ?? '')
    members = [...members.filter((one) => one !== leaving), joined]
    stage.writer.members = members.map(({ address }) => address)
    await change(joined, 'remove', leaving.name)
    const off = leaving.clone.shutDown(120_000)
    // The caller awaits it; until then nobody else would notice that it failed.
    off.catch(() => undefined)
    shutDowns.push(off)
  }
  await awaitQuorum(stage, members, 60_000)
  return { members, shutDowns }
}
