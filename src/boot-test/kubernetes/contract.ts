import { nftablesFor } from '../../platform/nftables.ts'
import { expect, type Recorder } from '../checks.ts'
import type { TestOutcome, TestRun } from '../contract.ts'
import { checkDriftNamed, checkUndrifted } from '../drift-checks.ts'
import { compareFirewall } from '../firewall.ts'
import { checkFirewallLost, firewallLostLine } from '../firewall-lost.ts'
import {
  awaitFirstBoot,
  awaitNode,
  awaitRefusal,
  BAD_ADDRESS,
  checkReachable,
  expectReady,
  refusedLine,
  seconds,
  tryValues,
  unitState,
} from '../first-boot.ts'
import { compareIdentities, readIdentity } from '../identity.ts'
import { checkImage, checkTampering, tamperedLine } from '../image-checks.ts'
import { checkLogin } from '../login.ts'
import { checkRoutes, checkServiceRoute } from '../routes.ts'
import { checkImageUnchanged, runScenario, settleAll } from '../scenario.ts'
import type { PlacedClone } from '../test-bed.ts'
import { type KubernetesCheck, kubernetesChecks } from './checks.ts'
import { etcdEndpoints, initValues, joinValues } from './configuration.ts'
import {
  awaitCalled,
  checkConfiguration,
  checkIdempotent,
  checkSecrets,
  type KubeadmState,
} from './kubeadm-checks.ts'
import { checkFromClone, checkMatrix } from './ports.ts'
import { checkPrerequisite, prerequisites } from './preflight.ts'
import { checkBadValues, spareValues } from './refusals.ts'
import { checkContainer, checkContainerd } from './runtime-checks.ts'
import { buildKubernetesTestBed, type KubernetesTestBed, startNode } from './test-bed.ts'

/** Tests a control plane that begins a cluster, a worker that joins it, and a spare control plane. */
export async function testKubernetes(run: TestRun): Promise<TestOutcome> {
  const bed = await buildKubernetesTestBed(run)
  return runScenario<KubernetesCheck>(bed, {
    plan: kubernetesChecks,
    provoked: { 'cp2 start 1': [refusedLine, tamperedLine, firewallLostLine] },
    run: (checks) => testNodes(checks, bed),
    afterwards: (checks) => checkImageUnchanged(checks, bed),
  })
}

async function testNodes(checks: Recorder<KubernetesCheck>, bed: KubernetesTestBed): Promise<void> {
  const { progress, platform, controlPlane, worker, spare, secrets } = bed

  progress.phase('a control plane, a worker and a control plane with a bad value boot')
  const endpoints = etcdEndpoints(platform)
  await startNode(bed, controlPlane, initValues(platform, controlPlane.machine, secrets, endpoints))
  await startNode(bed, worker, joinValues(platform, controlPlane.machine, secrets))
  await startNode(bed, spare, { ...spareValues(bed), ETCD_ENDPOINTS: BAD_ADDRESS })
  await settleAll(
    awaitFirstBoot(checks, controlPlane.clone, bed.bootTimeoutMs),
    awaitNode(worker.clone, bed.bootTimeoutMs),
    checkRefusal(checks, bed),
  )

  progress.phase('kubeadm is called; containers, firewalls and prerequisites are checked')
  await settleAll(checkMembers(checks, bed), checkSpare(checks, bed))

  progress.phase('the image is read again')
  await checks.run('identity', async () => {
    const nodes = [controlPlane, worker, spare]
    return compareIdentities(await Promise.all(nodes.map(({ clone }) => readIdentity(clone.agent))))
  })
  await checkFirewallLost(checks, spare.clone)
  await checkTampering(checks, spare.clone)
  await checkDriftNamed(checks, spare.clone)
  await settleAll(
    checks.run('shutdown', async () => `off after ${seconds(await worker.clone.shutDown(120_000))}`),
    checkImageUnchanged(checks, bed),
  )
}

async function checkRefusal(checks: Recorder<KubernetesCheck>, bed: KubernetesTestBed): Promise<void> {
  const { clone } = bed.spare
  const refusal = { pattern: /first-boot: ETCD_ENDPOINTS: /, named: ['ETCD_ENDPOINTS', BAD_ADDRESS] }
  await checks.run('bad-value', () => awaitRefusal(clone, refusal, bed.bootTimeoutMs))
  const service = { unit: 'seeder-kubeadm.service', name: 'kubeadm' }
  await checks.run('reachable', () => checkReachable(bed, bed.spare, service))
}

/** Checks the two nodes whose values make them members of the cluster. */
async function checkMembers(checks: Recorder<KubernetesCheck>, bed: KubernetesTestBed): Promise<void> {
  const { platform, controlPlane, worker, spare, secrets } = bed
  const states: KubeadmState[] = []
  const called = async (node: PlacedClone, action: 'init' | 'join', missing: readonly string[]) => {
    const state = await awaitCalled(node, action, { missing, emulated: bed.emulator.accelerator === 'tcg' })
    states.push(state)
    return `${state.state}: ${state.text}`
  }
  // Neither etcd nor the API server that it would join is in this test.
  await checks.require('init-called', () => called(controlPlane, 'init', ['ExternalEtcdVersion']))
  await checks.require('join-called', () => called(worker, 'join', []))
  await checkImage(checks, bed, controlPlane.clone, nftablesFor(platform, 'control-plane'))
  await checkRoutes(checks, [controlPlane, worker])
  await checkServiceRoute(checks, platform, [controlPlane, worker])
  await checks.run('containerd', () => checkContainerd(controlPlane.clone.agent))
  await checks.run('container', () => checkContainer(worker.clone.agent))
  const [init, join] = states
  expect(init !== undefined && join !== undefined, 'kubeadm was not called')
  await checks.run('secrets', async () => {
    const found = [await checkSecrets(controlPlane, secrets, init), await checkSecrets(worker, secrets, join)]
    return found.join('; ')
  })
  await checks.run('idempotent', () => checkIdempotent(controlPlane, init))
  await checks.run('worker-firewall', async () => {
    const count = await compareFirewall(worker.clone.agent, nftablesFor(platform, 'worker'))
    return `${count} rules, sets and chains are equal`
  })
  await checks.run('ports', () => checkMatrix(bed))
  await checks.run('ports-from-clones', async () => {
    const [nodes = '', database = ''] = platform.roles['control-plane'].zones
    const results = [
      await checkFromClone(platform, worker, controlPlane, nodes),
      await checkFromClone(platform, controlPlane, worker, nodes),
      await checkFromClone(platform, spare, controlPlane, database || nodes),
    ]
    return results.join(', ')
  })
  await checks.run('login', () => checkLogin(bed, worker))
}

/** Checks the spare control plane: with bad values, prepared without a cluster, and with kubeadm's configuration. */
async function checkSpare(checks: Recorder<KubernetesCheck>, bed: KubernetesTestBed): Promise<void> {
  const { spare, platform } = bed
  const { agent } = spare.clone
  await checks.run('bad-values', () => checkBadValues(bed))
  await checks.require('prepared', async () => {
    const status = await tryValues(spare, { NODE_ROLE: 'control-plane', BOOTSTRAP: 'none' }, bed.files)
    expectReady(status)
    const unit = await unitState(agent, 'seeder-kubeadm.service')
    expect(unit === 'inactive', `seeder-kubeadm.service is ${unit}`)
    const count = await compareFirewall(agent, nftablesFor(platform, 'control-plane'))
    return `${status.reason}; ${count} rules of its firewall are equal`
  })
  await checkUndrifted(checks, [spare.clone])
  for (const prerequisite of prerequisites) {
    await checks.run(prerequisite.name, () => checkPrerequisite(agent, prerequisite))
  }
  await checks.run('configuration', () => checkConfiguration(bed, spare, spareValues(bed)))
}
