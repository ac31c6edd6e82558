import { setTimeout as sleep } from 'node:timers/promises'
import { describeError } from '../../report/error.ts'
import { expect } from '../checks.ts'
import type { EtcdMember, MemberStatus } from './client.ts'
import type { ClusterMember, EtcdTestBed } from './test-bed.ts'

/** For one request: emulated members that share two cores with a booting clone are slow. */
export const REQUEST_TIMEOUT_MS = 8000
// The operator's command itself waits, for example for a learner that catches up. As in docs/operations.md, where
// `qm guest exec` runs it.
const COMMAND_TIMEOUT_MS = 330_000

/**
 * Runs the operator's command on a member, as `qm guest exec` would.
 * @returns what it printed
 * @throws SeederError when it fails
 */
export async function runCommand(
  { clone, name }: ClusterMember,
  ...argv: readonly string[]
): Promise<string> {
  const result = await clone.agent.exec(['/usr/lib/seeder/etcd', ...argv], { timeoutMs: COMMAND_TIMEOUT_MS })
  const words = `${result.stdout}\n${result.stderr}`.trim().split('\n').slice(-4).join(' / ')
  expect(
    result.exitCode === 0,
    `\`etcd ${argv.join(' ')}\` on ${name} ended with ${result.exitCode}: ${words}`,
  )
  return result.stdout
}

// Failures before any change: a cluster accepts no change within five seconds of the last one, and an emulated member
// may not answer in the command's three seconds.
const NOT_STARTED = /unhealthy cluster|does not answer, or has no quorum/
const CHANGE_ATTEMPTS = 12
const CHANGE_PAUSE_MS = 2500

/** As `runCommand`, for a command that changes the cluster: repeats it while it fails before any change. */
export async function changeMembers(
  by: ClusterMember,
  command: 'add' | 'promote' | 'remove',
  ...argv: readonly string[]
): Promise<string> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await runCommand(by, command, ...argv)
    } catch (error) {
      if (attempt === CHANGE_ATTEMPTS || !NOT_STARTED.test(describeError(error))) throw error
      await sleep(CHANGE_PAUSE_MS)
    }
  }
}

/**
 * Waits until these members are the whole cluster and have the same leader.
 * @returns the leader
 * @throws SeederError with the last list of members
 */
export async function awaitCluster(
  bed: EtcdTestBed,
  members: readonly ClusterMember[],
  timeoutMs: number,
): Promise<ClusterMember> {
  let seen = 'nothing'
  for (const deadline = performance.now() + timeoutMs; performance.now() < deadline; await sleep(500)) {
    try {
      const listed = await bed.client.members(members[0]?.address ?? '', REQUEST_TIMEOUT_MS)
      const statuses = await Promise.all(
        members.map(({ address }) => bed.client.status(address, REQUEST_TIMEOUT_MS)),
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

/** The one of the members that all of them call the leader. */
export function agreedLeader<M>(members: readonly M[], statuses: readonly MemberStatus[]): M | undefined {
  const [first] = statuses
  if (!first || statuses.some(({ leader }) => leader !== first.leader)) return undefined
  return members[statuses.findIndex(({ id }) => id === first.leader)]
}

/** Whether a list has exactly these members, all of them with a vote. */
export function isWhole(
  listed: readonly EtcdMember[],
  members: readonly { readonly name: string }[],
): boolean {
  return (
    listed.length === members.length &&
    members.every(({ name }) => listed.some((member) => member.name === name && !member.learner))
  )
}

/** `etcd1, etcd2 (learner)`. */
export function describeMembers(listed: readonly EtcdMember[]): string {
  return listed
    .map(({ name, learner }) => `${name || 'one that never started'}${learner ? ' (learner)' : ''}`)
    .sort()
    .join(', ')
}

/**
 * Checks that each member has every acknowledged write.
 * @returns their number
 * @throws SeederError with the writes that a member has lost
 */
export async function expectNothingLost(
  bed: EtcdTestBed,
  members: readonly ClusterMember[],
): Promise<number> {
  for (const { name, address } of members) {
    const missing = await bed.writer.missing(address, REQUEST_TIMEOUT_MS * 4)
    expect(
      missing.length === 0,
      `${name} has lost ${missing.length} acknowledged writes: ${missing.slice(0, 3).join('; ')}`,
    )
  }
  return bed.writer.acknowledged.length
}
