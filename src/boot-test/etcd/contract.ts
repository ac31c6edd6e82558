import { nftablesFor } from '../../platform/nftables.ts'
import { expect, type Recorder } from '../checks.ts'
import type { TestOutcome, TestRun } from '../contract.ts'
import { checkUndrifted } from '../drift-checks.ts'
import {
  awaitFirstBoot,
  awaitNode,
  awaitRefusal,
  checkReachable,
  refusedLine,
  seconds,
} from '../first-boot.ts'
import { compareIdentities, readIdentity } from '../identity.ts'
import { checkImage, checkTampering, tamperedLine } from '../image-checks.ts'
import { checkRoutes } from '../routes.ts'
import { checkImageUnchanged, runScenario, settleAll } from '../scenario.ts'
import { type EtcdCheck, etcdChecks } from './checks.ts'
import { founderValues } from './configuration.ts'
import { checkMember } from './member-checks.ts'
import { awaitCluster, describeMembers, expectNothingLost, REQUEST_TIMEOUT_MS } from './membership.ts'
import { checkBadValues, lateFounderValues } from './refusals.ts'
import { killLeader, replaceLost, replaceMembers } from './replacement.ts'
import {
  bootMember,
  buildEtcdTestBed,
  type ClusterMember,
  type EtcdTestBed,
  hostnames,
  peersOf,
  tearDownEtcd,
} from './test-bed.ts'
import { longestPause } from './writer.ts'

/** Tests a cluster of three, which loses its leader, refuses a second cluster, and has all its members replaced. */
export async function testEtcd(run: TestRun): Promise<TestOutcome> {
  const bed = await buildEtcdTestBed(run)
  return runScenario<EtcdCheck>(bed, {
    plan: etcdChecks,
    provoked: { [`${hostnames.lateFounder} start 1`]: [refusedLine, tamperedLine] },
    run: (checks) => testCluster(checks, bed),
    tearDown: () => tearDownEtcd(bed),
    afterwards: (checks) => checkImageUnchanged(checks, bed),
  })
}

async function testCluster(checks: Recorder<EtcdCheck>, bed: EtcdTestBed): Promise<void> {
  const { progress } = bed
  progress.phase('three clones found a cluster')
  const founders = await foundCluster(checks, bed)
  bed.writer.members = founders.map(({ address }) => address)
  bed.writer.start()

  progress.phase('the cluster is checked; meanwhile a clone boots that would found another one')
  const lateFounder = await bootMember(bed, hostnames.lateFounder, lateFounderValues(bed))
  await settleAll(checkLateFounder(checks, bed, lateFounder, founders), checkCluster(checks, bed, founders))

  progress.phase(`the leader is lost and replaced; meanwhile ${lateFounder.name} gets bad values`)
  const replaced = loseAndReplace(checks, bed, founders)
  await settleAll(
    replaced,
    checks.run('bad-values', () => checkBadValues(bed, lateFounder)),
  )
  const members = await replaced
  await checkUndrifted(
    checks,
    members.map(({ clone }) => clone),
  )

  progress.phase('all members are replaced under a writer; the image is read again')
  await checkTampering(checks, lateFounder.clone)
  await lateFounder.clone.kill()
  await settleAll(checkImageUnchanged(checks, bed), replaceAll(checks, bed, members))
}

/** Boots three clones at once, of which the first has a disk for its data. */
async function foundCluster(checks: Recorder<EtcdCheck>, bed: EtcdTestBed): Promise<ClusterMember[]> {
  const peers = peersOf(bed, hostnames.founders)
  const founders = await Promise.all(
    hostnames.founders.map((name, index) => bootMember(bed, name, founderValues(peers, index === 0))),
  )
  const [first, ...others] = founders
  expect(first !== undefined, 'there are no founders')
  await settleAll(
    awaitFirstBoot(checks, first.clone, bed.bootTimeoutMs),
    ...others.map(({ clone }) => awaitNode(clone, bed.bootTimeoutMs)),
  )
  await checks.require('cluster', async () => {
    const leader = await awaitCluster(bed, founders, 60_000)
    const { version } = await bed.client.status(leader.address, REQUEST_TIMEOUT_MS)
    const listed = describeMembers(await bed.client.members(leader.address, REQUEST_TIMEOUT_MS))
    return `etcd ${version}: ${listed}; ${leader.name} leads`
  })
  return founders
}

async function checkCluster(
  checks: Recorder<EtcdCheck>,
  bed: EtcdTestBed,
  founders: readonly ClusterMember[],
): Promise<void> {
  const [first] = founders
  expect(first !== undefined, 'there are no founders')
  await checkImage(checks, bed, first.clone, nftablesFor(bed.platform, 'etcd'))
  await checkRoutes(checks, founders)
  await checkMember(checks, bed, first)
  await checks.run('identity', async () =>
    compareIdentities(await Promise.all(founders.map(({ clone }) => readIdentity(clone.agent)))),
  )
}

async function checkLateFounder(
  checks: Recorder<EtcdCheck>,
  bed: EtcdTestBed,
  lateFounder: ClusterMember,
  founders: readonly ClusterMember[],
): Promise<void> {
  await checks.run('no-second-cluster', async () => {
    const refusal = {
      pattern: /first-boot: ETCD_STATE: /,
      named: ['ETCD_STATE', 'a cluster runs already'],
    }
    const line = await awaitRefusal(lateFounder.clone, refusal, bed.bootTimeoutMs)
    await awaitCluster(bed, founders, 30_000)
    return line
  })
  const service = { unit: 'etcd.service', name: 'etcd' }
  await checks.run('reachable', () => checkReachable(bed, lateFounder, service))
}

async function loseAndReplace(
  checks: Recorder<EtcdCheck>,
  bed: EtcdTestBed,
  founders: readonly ClusterMember[],
): Promise<ClusterMember[]> {
  let lost: ClusterMember | undefined
  await checks.require('leader-lost', async () => {
    const killed = await killLeader(bed, founders, checks.observed.measured)
    lost = killed.lost
    return killed.detail
  })
  let members: ClusterMember[] = []
  await checks.require('replacement', async () => {
    expect(lost !== undefined, 'no leader was lost')
    members = await replaceLost(bed, founders, lost, hostnames.replacement)
    await expectNothingLost(bed, members)
    return `${hostnames.replacement} joined as a learner, was promoted, and has all data; ${lost.name} is gone`
  })
  return members
}

async function replaceAll(
  checks: Recorder<EtcdCheck>,
  bed: EtcdTestBed,
  old: readonly ClusterMember[],
): Promise<void> {
  const began = performance.now()
  const { writer } = bed
  const { measured } = checks.observed
  let members: readonly ClusterMember[] = []
  let shutDowns: readonly Promise<number>[] = []
  await checks.require('rolling', async () => {
    const replaced = await replaceMembers(bed, old, hostnames.successors)
    members = replaced.members
    shutDowns = replaced.shutDowns
    measured.rollingPauseMs = Math.round(longestPause(writer.acknowledged, began))
    const names = members.map(({ name }) => name).join(', ')
    return `${names} in ${seconds(performance.now() - began)}; writes never paused longer than ${seconds(measured.rollingPauseMs)}`
  })
  await checks.run('nothing-lost', async () => {
    await writer.stop()
    const writes = await expectNothingLost(bed, members)
    return `each of the ${members.length} new members has all ${writes} acknowledged writes; ${writer.failures} were not acknowledged`
  })
  await checks.run(
    'shutdown',
    async () => `off after ${(await Promise.all(shutDowns)).map(seconds).join(', ')}`,
  )
}
