import { nftablesFor, vrrpPeersText } from '../../platform/nftables.ts'
import type { AllowedLine } from '../../vm/console-failures.ts'
import type { CheckPlan, Recorder } from '../checks.ts'
import type { Contract, Observations, TestOutcome, TestRun } from '../contract.ts'
import { checkDriftNamed, checkUndrifted, driftChecks, driftNamedChecks } from '../drift-checks.ts'
import { checkFirewallLost, firewallLostChecks, firewallLostLine } from '../firewall-lost.ts'
import { awaitFirstBoot, awaitReady, bootTimeoutMs, refusedLine, seconds } from '../first-boot.ts'
import { readIdentity } from '../guest-facts.ts'
import { compareIdentities, duidsOf } from '../identity.ts'
import { bootCourse, checkImage, checkTampering, imageChecks, tamperedLine } from '../image-checks.ts'
import { playImage, readImage, together } from '../scenario.ts'
import { diskBytes } from '../test-bed.ts'
import { nodeValues, withBadValue } from './configuration.ts'
import { checkFailover, checkReaddressed, checkRefusal } from './pair-checks.ts'
import { checkRole, hastyApiClient } from './role-checks.ts'
import { buildPair, type PairStage, strikePair } from './test-bed.ts'

const roleChecks = [
  { name: 'round-robin', group: 'role', title: 'connections go to every worker in turn' },
  { name: 'worker-lost', group: 'role', title: 'a dead worker leaves within its check time' },
  { name: 'worker-returns', group: 'role', title: 'and returns when it is back' },
  { name: 'api', group: 'role', title: 'the Kubernetes API is served on 6443' },
  {
    name: 'api-wrong-certificate',
    group: 'role',
    title: 'an API server with a wrong certificate is never used',
  },
  { name: 'ports', group: 'role', title: 'no port answers that the platform file does not open' },
  { name: 'login', group: 'role', title: 'the operator logs in with a key, and nothing else is accepted' },
  { name: 'bad-value', group: 'pair', title: 'a bad value is named on the console and to the agent' },
  { name: 'bad-value-reachable', group: 'pair', title: 'and the machine stays reachable' },
  { name: 'shutdown', group: 'pair', title: 'powers off when Proxmox asks' },
  { name: 'corrected', group: 'pair', title: 'serves once the value is corrected' },
  { name: 'identity', group: 'pair', title: 'two clones share no identity' },
  { name: 'vip', group: 'pair', title: 'the VIP is answered by the first of the pair' },
  { name: 'failover', group: 'pair', title: 'and by the second when the first one’s VM is killed' },
  { name: 'readdressed', group: 'pair', title: 'an edited address works and keeps the ssh host keys' },
] as const satisfies readonly CheckPlan[]

const plan = [...imageChecks, ...firewallLostChecks, ...driftChecks, ...driftNamedChecks, ...roleChecks]
export type HaproxyCheck = (typeof plan)[number]['name']

/** Console lines that a step provokes, by clone and start. */
const provoked: Readonly<Record<string, readonly AllowedLine[]>> = {
  'lb2 start 1': [refusedLine],
  'lb2 start 2': [tamperedLine, firewallLostLine],
}

/** The load balancer: a pair of clones with a VIP, three workers, and four API servers of which two are impostors. */
export const haproxyContract: Contract = { checks: plan, run: prove }

async function prove(proof: TestRun): Promise<TestOutcome> {
  const stage = await buildPair(proof)
  const scene = { clones: stage.clones, tearDown: () => strikePair(stage), provoked }
  return playImage<HaproxyCheck>(proof, plan, scene, (checks, seen) => scenario(proof, stage, checks, seen))
}

async function scenario(
  proof: TestRun,
  stage: PairStage,
  checks: Recorder<HaproxyCheck>,
  seen: Observations,
): Promise<void> {
  const { site } = stage
  const [first, second] = stage.pair
  const timeoutMs = bootTimeoutMs(proof.emulator.accelerator)

  proof.progress.phase('two clones boot, one of them with a bad value')
  await first.start(stage.drive(site.pair[0], nodeValues(site, 0)))
  await second.start(stage.drive(site.pair[1], withBadValue(nodeValues(site, 1))))
  const hasty = hastyApiClient(stage, site.pair[0])
  await together(
    awaitFirstBoot(checks, first, seen, timeoutMs),
    checkRefusal(checks, stage, second, site.pair[1], timeoutMs),
  ).finally(() => hasty.stop())

  proof.progress.phase('the value is corrected; the other clone is examined and balances meanwhile')
  await checks.require('shutdown', async () => `off after ${seconds(await second.shutDown(90_000))}`)
  await second.start(stage.drive(site.pair[1], nodeValues(site, 1)))
  const corrected = awaitReady(second, timeoutMs)
  // It is awaited further down; until then nobody else would notice that it failed.
  corrected.catch(() => undefined)
  const { VRRP_PEERS: peers = '' } = nodeValues(site, 0)
  await checkImage(checks, first, {
    candidate: proof.candidate,
    firewall: nftablesFor(proof.platform, 'haproxy') + vrrpPeersText(peers.split(' ')),
    sshKey: stage.sshKey.publicKey,
    diskBytes,
  })
  Object.assign(seen.boot, await bootCourse(first))
  await checkRole(checks, stage, first, site.pair[0], seen)

  proof.progress.phase('the pair: identities, VIP, failover')
  await checks.require('corrected', async () => `ready after ${seconds(await corrected)}`)
  const before = await readIdentity(first.agent)
  const other = await readIdentity(second.agent)
  await checks.run('identity', async () =>
    compareIdentities([before, other], duidsOf(stage, [before.hostname, other.hostname])),
  )
  await checkFailover(checks, stage, seen.measured)

  proof.progress.phase('the killed clone returns with another address; the image is read once more')
  await first.start(stage.drive(site.moved, nodeValues(site, 0)))
  const returned = awaitReady(first, timeoutMs)
  returned.catch(() => undefined)
  await checkUndrifted(checks, [second])
  await checkFirewallLost(checks, second)
  await checkTampering(checks, second)
  await checkDriftNamed(checks, second)
  await second.kill()
  await readImage(checks, proof, seen)
  await checkReaddressed(checks, stage, first, before, returned)
}
