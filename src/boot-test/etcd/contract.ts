import { nftablesFor } from '../../platform/nftables.ts'
import type { AllowedLine } from '../../vm/console-failures.ts'
import { type CheckPlan, expect, type Recorder } from '../checks.ts'
import type { Contract, Observations, TestOutcome, TestRun } from '../contract.ts'
import { checkUndrifted, driftChecks } from '../drift-checks.ts'
import {
  awaitFirstBoot,
  awaitReady,
  awaitRefusal,
  bootTimeoutMs,
  checkReachable,
  refusedLine,
  seconds,
} from '../first-boot.ts'
import { readIdentity } from '../guest-facts.ts'
import { compareIdentities } from '../identity.ts'
import { bootCourse, checkImage, checkTampering, imageChecks, tamperedLine } from '../image-checks.ts'
import { playImage, readImage, together } from '../scenario.ts'
import { diskBytes } from '../test-bed.ts'
import { founderValues } from './configuration.ts'
import { checkMember } from './member-checks.ts'
import { awaitQuorum, describeMembers, expectNothingLost, patienceMs } from './membership.ts'
import { checkBadValues, strayValues } from './refusals.ts'
import { loseLeader, replaceLost, rollOver } from './replacement.ts'
import {
  bootMember,
  buildCluster,
  type ClusterMember,
  type ClusterStage,
  cast,
  peersOf,
  strikeCluster,
} from './test-bed.ts'
import { longestPause } from './writer.ts'

const roleChecks = [
  { name: 'cluster', group: 'role', title: 'three clones form a cluster over mTLS' },
  {
    name: 'certificate-required',
    group: 'role',
    title: 'a client or a peer without a certificate is refused',
  },
  { name: 'ports', group: 'role', title: 'no port answers that the platform file does not open' },
  { name: 'login', group: 'role', title: 'the operator logs in with a key, and nothing else is accepted' },
  { name: 'health', group: 'role', title: 'the operator’s command says how the cluster is' },
  { name: 'data-disk', group: 'role', title: 'the data is on a disk of its own, found by its label' },
  { name: 'snapshot', group: 'role', title: 'a snapshot is taken and verified' },
  { name: 'idempotent', group: 'role', title: 'first boot, run again, leaves a member alone' },
  { name: 'identity', group: 'cluster', title: 'three clones share no identity' },
  {
    name: 'no-second-cluster',
    group: 'cluster',
    title: 'a clone that would found a cluster where one runs is refused',
  },
  { name: 'reachable', group: 'cluster', title: 'and the machine stays reachable' },
  { name: 'bad-values', group: 'cluster', title: 'every bad value and file is refused and named' },
  { name: 'leader-lost', group: 'cluster', title: 'writes go on when the leader’s VM is killed' },
  { name: 'replacement', group: 'cluster', title: 'a clone with a new name takes the dead member’s place' },
  { name: 'rolling', group: 'cluster', title: 'all members are replaced, one at a time, under a writer' },
  { name: 'nothing-lost', group: 'cluster', title: 'nothing that was ever acknowledged is lost' },
  { name: 'shutdown', group: 'cluster', title: 'powers off when Proxmox asks' },
] as const satisfies readonly CheckPlan[]

const plan = [...imageChecks, ...driftChecks, ...roleChecks]
export type EtcdCheck = (typeof plan)[number]['name']

/** Console lines that a step provokes, by clone and start. */
const provoked: Readonly<Record<string, readonly AllowedLine[]>> = {
  [`${cast.stray} start 1`]: [refusedLine, tamperedLine],
}

/** A cluster of three that loses its leader, refuses a second cluster, and is replaced member by member. */
export const etcdContract: Contract = { checks: plan, run: prove }

async function prove(proof: TestRun): Promise<TestOutcome> {
  const stage = await buildCluster(proof)
  const scene = { clones: stage.clones, tearDown: () => strikeCluster(stage), provoked }
  return playImage<EtcdCheck>(proof, plan, scene, (checks, seen) => scenario(proof, stage, checks, seen))
}

async function scenario(
  proof: TestRun,
  stage: ClusterStage,
  checks: Recorder<EtcdCheck>,
  seen: Observations,
): Promise<void> {
  const { progress, candidate } = proof
  const image = candidate.qcow2
  const timeoutMs = bootTimeoutMs(proof.emulator.accelerator)

  progress.phase('three clones found a cluster')
  const founders = await found(checks, stage, image, seen, timeoutMs)
  stage.writer.members = founders.map(({ address }) => address)
  stage.writer.start()

  progress.phase('the cluster is examined; meanwhile a clone boots that would found another one')
  const stray = await bootMember(stage, image, cast.stray, strayValues(stage))
  await together(
    checkStray(checks, stage, stray, founders, timeoutMs),
    examine(checks, proof, stage, founders, seen),
  )

  progress.phase(`the leader is lost and replaced; ${stray.name} is given bad values meanwhile`)
  let members: readonly ClusterMember[] = founders
  await together(
    (async () => {
      members = await loseAndReplace(checks, stage, image, founders, seen)
    })(),
    checks.run('bad-values', () => checkBadValues(stage, stray)),
  )
  await checkUndrifted(
    checks,
    members.map(({ clone }) => clone),
  )

  progress.phase('all members are replaced under a writer; the image is read once more')
  await checkTampering(checks, stray.clone)
  await stray.clone.kill()
  await together(readImage(checks, proof, seen), replaceAll(checks, stage, image, members, seen))
}

/** Three clones boot at once, one of them with a disk for its data. */
async function found(
  checks: Recorder<EtcdCheck>,
  stage: ClusterStage,
  image: string,
  seen: Observations,
  timeoutMs: number,
): Promise<ClusterMember[]> {
  const peers = peersOf(stage, cast.founders)
  const founders = await Promise.all(
    cast.founders.map((name, at) => bootMember(stage, image, name, founderValues(peers, at === 0))),
  )
  const [first, ...others] = founders
  expect(first !== undefined, 'there are no founders')
  await together(
    awaitFirstBoot(checks, first.clone, seen, timeoutMs),
    ...others.map(async ({ clone }) => {
      await awaitReady(clone, timeoutMs)
      await clone.agent.ready(60_000)
    }),
  )
  await checks.require('cluster', async () => {
    const leader = await awaitQuorum(stage, founders, 60_000)
    const { version } = await stage.client.status(leader.address, patienceMs)
    const listed = describeMembers(await stage.client.members(leader.address, patienceMs))
    return `etcd ${version}: ${listed}; ${leader.name} leads`
  })
  return founders
}

async function examine(
  checks: Recorder<EtcdCheck>,
  proof: TestRun,
  stage: ClusterStage,
  founders: readonly ClusterMember[],
  seen: Observations,
): Promise<void> {
  const [first] = founders
  expect(first !== undefined, 'there are no founders')
  await checkImage(checks, first.clone, {
    candidate: proof.candidate,
    firewall: nftablesFor(proof.platform, 'etcd'),
    sshKey: stage.sshKey.publicKey,
    diskBytes,
  })
  Object.assign(seen.boot, await bootCourse(first.clone))
  await checkMember(checks, stage, first)
  await checks.run('identity', async () =>
    compareIdentities(await Promise.all(founders.map(({ clone }) => readIdentity(clone.agent))), []),
  )
}

async function checkStray(
  checks: Recorder<EtcdCheck>,
  stage: ClusterStage,
  stray: ClusterMember,
  founders: readonly ClusterMember[],
  timeoutMs: number,
): Promise<void> {
  await checks.run('no-second-cluster', async () => {
    const named = ['ETCD_STATE', 'a cluster runs already']
    const said = await awaitRefusal(stray.clone, /first-boot: ETCD_STATE: /, named, timeoutMs)
    await awaitQuorum(stage, founders, 30_000)
    return said
  })
  const service = { unit: 'etcd.service', name: 'etcd' }
  await checks.run('reachable', () => checkReachable(stray.clone, stage.site, stray.seat, service))
}

async function loseAndReplace(
  checks: Recorder<EtcdCheck>,
  stage: ClusterStage,
  image: string,
  founders: readonly ClusterMember[],
  seen: Observations,
): Promise<ClusterMember[]> {
  let lost: ClusterMember | undefined
  let left: ClusterMember[] = []
  await checks.require('leader-lost', async () => {
    const found = await loseLeader(stage, founders, seen.measured)
    lost = found.lost
    left = found.left
    return found.seen
  })
  let members: ClusterMember[] = []
  await checks.require('replacement', async () => {
    expect(lost !== undefined, 'no leader was lost')
    members = await replaceLost(stage, image, lost, left, cast.replacement)
    await expectNothingLost(stage, members)
    return `${cast.replacement} joined as a learner, was promoted, and has all data; ${lost.name} is gone`
  })
  return members
}

async function replaceAll(
  checks: Recorder<EtcdCheck>,
  stage: ClusterStage,
  image: string,
  old: readonly ClusterMember[],
  seen: Observations,
): Promise<void> {
  const began = performance.now()
  const { writer } = stage
  let members: readonly ClusterMember[] = []
  let shutDowns: readonly Promise<number>[] = []
  await checks.require('rolling', async () => {
    const rolled = await rollOver(stage, image, old, cast.successors)
    members = rolled.members
    shutDowns = rolled.shutDowns
    seen.measured.rollingPauseMs = Math.round(longestPause(writer.acknowledged, began))
    const names = members.map(({ name }) => name).join(', ')
    return `${names} in ${seconds(performance.now() - began)}; writes never paused longer than ${seconds(seen.measured.rollingPauseMs)}`
  })
  await checks.run('nothing-lost', async () => {
    await writer.stop()
    const writes = await expectNothingLost(stage, members)
    return `each of the ${members.length} new members has all ${writes} acknowledged writes; ${writer.failures} were not acknowledged`
  })
  await checks.run(
    'shutdown',
    async () => `off after ${(await Promise.all(shutDowns)).map(seconds).join(', ')}`,
  )
}
