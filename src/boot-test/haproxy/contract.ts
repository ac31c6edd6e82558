import { nftablesFor, vrrpPeersText } from '../../platform/nftables.ts'
import type { Recorder } from '../checks.ts'
import type { TestOutcome, TestRun } from '../contract.ts'
import { checkDriftNamed, checkUndrifted } from '../drift-checks.ts'
import { checkFirewallLost, firewallLostLine } from '../firewall-lost.ts'
import { awaitFirstBoot, awaitReady, refusedLine, seconds } from '../first-boot.ts'
import { compareIdentities, duidsOf, readIdentity } from '../identity.ts'
import { checkImage, checkTampering, tamperedLine } from '../image-checks.ts'
import { checkRoutes } from '../routes.ts'
import { checkImageUnchanged, runScenario, settleAll } from '../scenario.ts'
import { type HaproxyCheck, haproxyChecks } from './checks.ts'
import { nodeValues, withBadValue } from './configuration.ts'
import { checkFailover, checkReaddressed, checkRefusal } from './pair-checks.ts'
import { checkRole, startApiClient } from './role-checks.ts'
import { buildHaproxyTestBed, type HaproxyTestBed, tearDownHaproxy } from './test-bed.ts'

/** Tests a pair of load balancers with a VIP, three workers, and good and bad API servers. */
export async function testHaproxy(run: TestRun): Promise<TestOutcome> {
  const bed = await buildHaproxyTestBed(run)
  return runScenario<HaproxyCheck>(bed, {
    plan: haproxyChecks,
    provoked: { 'lb2 start 1': [refusedLine], 'lb2 start 2': [tamperedLine, firewallLostLine] },
    run: (checks) => testPair(checks, bed),
    tearDown: () => tearDownHaproxy(bed),
    afterwards: (checks) => checkImageUnchanged(checks, bed),
  })
}

async function testPair(checks: Recorder<HaproxyCheck>, bed: HaproxyTestBed): Promise<void> {
  const { site, progress, bootTimeoutMs } = bed
  const [first, second] = bed.pair

  progress.phase('two clones boot, one of them with a bad value')
  await first.start(bed.drive(site.pair[0], nodeValues(site, 0)))
  await second.start(bed.drive(site.pair[1], withBadValue(nodeValues(site, 1))))
  const client = startApiClient(bed)
  await settleAll(awaitFirstBoot(checks, first, bootTimeoutMs), checkRefusal(checks, bed)).finally(() =>
    client.stop(),
  )

  progress.phase('the value is corrected; meanwhile the other clone is checked')
  await checks.require('shutdown', async () => `off after ${seconds(await second.shutDown(90_000))}`)
  await second.start(bed.drive(site.pair[1], nodeValues(site, 1)))
  const corrected = awaitReady(second, bootTimeoutMs)
  // It is awaited below; until then a failure must not count as unhandled.
  corrected.catch(() => undefined)
  const { VRRP_PEERS: peers = '' } = nodeValues(site, 0)
  const firewall = nftablesFor(bed.platform, 'haproxy') + vrrpPeersText(peers.split(' '))
  await checkImage(checks, bed, first, firewall)
  await checkRole(checks, bed)

  progress.phase('the pair: identities, VIP, failover')
  await checks.require('corrected', async () => `ready after ${seconds(await corrected)}`)
  await checkRoutes(checks, [
    { clone: first, machine: site.pair[0] },
    { clone: second, machine: site.pair[1] },
  ])
  const before = await readIdentity(first.agent)
  const other = await readIdentity(second.agent)
  await checks.run('identity', async () =>
    compareIdentities([before, other], duidsOf(bed, [before.hostname, other.hostname])),
  )
  await checkFailover(checks, bed)

  progress.phase('the killed clone returns with another address; the image is read again')
  await first.start(bed.drive(site.moved, nodeValues(site, 0)))
  const returned = awaitReady(first, bootTimeoutMs)
  returned.catch(() => undefined)
  await checkUndrifted(checks, [second])
  await checkFirewallLost(checks, second)
  await checkTampering(checks, second)
  await checkDriftNamed(checks, second)
  await second.kill()
  await checkImageUnchanged(checks, bed)
  await checkReaddressed(checks, bed, before, returned)
}
