import { setTimeout as sleep } from 'node:timers/promises'
import { describeError } from '../../report/error.ts'
import { expect } from '../checks.ts'
import type { EtcdMember, MemberStatus } from './client.ts'
import type { ClusterMember, ClusterStage } from './test-bed.ts'

// One question; emulated members that share two cores with a booting clone take their time.
export const patienceMs = 8000
// The operator's command waits itself for what it needs, such as a learner that catches up: as long as docs/operations.md
// has `qm guest exec` wait for it.
const commandMs = 330_000

/**
 * Runs the operator's command on a member, as `qm guest exec` would. What it printed.
 * @throws SeederError when it fails
 */
export async function operate({ clone, name }: ClusterMember, ...argv: readonly string[]): Promise<string> {
  const result = await clone.agent.exec(['/usr/lib/seeder/etcd', ...argv], { timeoutMs: commandMs })
  const words = `${result.stdout}\n${result.stderr}`.trim().split('\n').slice(-4).join(' / ')
  expect(
    result.exitCode === 0,
    `\`etcd ${argv.join(' ')}\` on ${name} ended with ${result.exitCode}: ${words}`,
  )
  return result.stdout
}

// Before anything was changed: a cluster takes no change within five seconds of the last one, and a member that is slow
// because it is emulated may not have answered in the command's three seconds.
const nothingDone = /unhealthy cluster|does not answer, or has no quorum/
const changeAttempts = 12
const changePauseMs = 2500

/** As `operate`, for what changes the cluster: as an operator would, it tries again while nothing was done. */
export async function change(
  by: ClusterMember,
  command: 'add' | 'promote' | 'remove',
  ...argv: readonly string[]
): Promise<string> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await operate(by, command, ...argv)
    } catch (error) {
      if (attempt === changeAttempts || !nothingDone.test(describeError(error))) throw error
      await sleep(changePauseMs)
    }
  }
}

/**
 * Waits until all of these members serve, have the same leader, and are the whole cluster. The leader.
 * @throws SeederError with what was seen last
 */
export async function awaitQuorum(
  stage: ClusterStage,
  members: readonly ClusterMember[],
  timeoutMs: number,
): Promise<ClusterMember> {
  let seen = 'nothing'
  for (const deadline = performance.now() + timeoutMs; performance.now() < deadline; await sleep(500)) {
    try {
      const listed = await stage.client.members(members[0]?.address ?? '', patienceMs)
      const statuses = await Promise.all(
        members.map(({ address }) => stage.client.status(address, patienceMs)),
      )
      seen = describeMembers(listed)
      const leader = agreedLeader(members, statuses)
      if (leader && isWhole(listed, members)) return leader
    } catch (error) {
      seen = error instanceof Error ? error.message : String(error)
    }
  }
  const names = members.map(({ name }) => name).join(', ')
  expect(false, `waited for ${names} to be one cluster with a leader; seen: ${seen}`)
}

/** The member that all of them take for the leader, and that is one of them. */
export function agreedLeader<M>(members: readonly M[], statuses: readonly MemberStatus[]): M | undefined {
  const [first] = statuses
  if (!first || statuses.some(({ leader }) => leader !== first.leader)) return undefined
  return members[statuses.findIndex(({ id }) => id === first.leader)]
}

/** Whether a list has exactly these names, all of them with a vote. */
export function isWhole(
  listed: readonly EtcdMember[],
  members: readonly { readonly name: string }[],
): boolean {
  return (
    listed.length === members.length &&
    members.every(({ name }) => listed.some((one) => one.name === name && !one.learner))
  )
}

/** `etcd1, etcd2 (learner)`. */
export function describeMembers(listed: readonly EtcdMember[]): string {
  return listed
    .map(({ name, learner }) => `${name || 'one that never started'}${learner ? ' (learner)' : ''}`)
    .sort()
    .join(', ')
}

/** Fails when a member does not have something that was acknowledged. How many writes it was asked for. */
export async function expectNothingLost(
  stage: ClusterStage,
  members: readonly ClusterMember[],
): Promise<number> {
  for (const { name, address } of members) {
    const missing = await stage.writer.missing(address, patienceMs * 4)
    expect(
      missing.length === 0,
      `${name} has lost ${missing.length} acknowledged writes: ${missing.slice(0, 3).join('; ')}`,
    )
  }
  return stage.writer.acknowledged.length
}
