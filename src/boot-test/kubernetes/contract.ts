import { nftablesFor } from '../../platform/nftables.ts'
import type { AllowedLine } from '../../vm/console-failures.ts'
import { type CheckPlan, expect, type Recorder } from '../checks.ts'
import type { Contract, Observations, TestOutcome, TestRun } from '../contract.ts'
import { checkDriftNamed, checkUndrifted, driftChecks, driftNamedChecks } from '../drift-checks.ts'
import { compareFirewall } from '../firewall.ts'
import { checkFirewallLost, firewallLostChecks, firewallLostLine } from '../firewall-lost.ts'
import {
  awaitFirstBoot,
  awaitReady,
  awaitRefusal,
  bootTimeoutMs,
  checkReachable,
  refusedLine,
  seconds,
  tryValues,
} from '../first-boot.ts'
import { readIdentity } from '../guest-facts.ts'
import { compareIdentities } from '../identity.ts'
import { bootCourse, checkImage, checkTampering, imageChecks, tamperedLine } from '../image-checks.ts'
import { checkLogin } from '../login.ts'
import { playImage, readImage, together } from '../scenario.ts'
import { diskBytes, tearDown } from '../test-bed.ts'
import { etcdEndpoints, initValues, joinValues } from './configuration.ts'
import {
  awaitKubeadm,
  checkConfiguration,
  checkIdempotent,
  checkSecrets,
  type KubeadmState,
} from './kubeadm-checks.ts'
import { checkFromClone, checkMatrix } from './node-ports.ts'
import { checkPrerequisite, preflightChecks, prerequisites } from './preflight.ts'
import { badAddress, checkBadValues, spareValues } from './refusals.ts'
import { checkContainer, checkContainerd } from './runtime-checks.ts'
import { buildNodes, type NodeStage, startNode } from './test-bed.ts'

const roleChecks = [
  {
    name: 'init-called',
    group: 'kubeadm',
    title: 'the control plane’s kubeadm is called to begin the cluster',
  },
  { name: 'join-called', group: 'kubeadm', title: 'the worker’s kubeadm is called to join it' },
  {
    name: 'configuration',
    group: 'kubeadm',
    title: 'kubeadm’s configuration is valid and says what is meant',
  },
  { name: 'secrets', group: 'kubeadm', title: 'nobody but root reads the secrets, and they go once used' },
  { name: 'idempotent', group: 'kubeadm', title: 'first boot, run again, leaves a node alone' },
  { name: 'containerd', group: 'runtime', title: 'containerd is as the kubelet needs it' },
  { name: 'container', group: 'runtime', title: 'a container runs' },
  { name: 'worker-firewall', group: 'role', title: 'the worker has the worker’s firewall' },
  { name: 'ports', group: 'role', title: 'the firewall lets through exactly the matrix' },
  { name: 'ports-from-clones', group: 'role', title: 'also from other nodes' },
  { name: 'login', group: 'role', title: 'the operator logs in with a key, and nothing else is accepted' },
  { name: 'identity', group: 'role', title: 'three clones share no identity' },
  { name: 'bad-value', group: 'role', title: 'a bad value is named on the console and to the agent' },
  { name: 'reachable', group: 'role', title: 'and the machine stays reachable' },
  { name: 'bad-values', group: 'role', title: 'every bad value and file is refused and named' },
  { name: 'prepared', group: 'role', title: 'without a bootstrap it is prepared, and kubeadm is not called' },
  { name: 'shutdown', group: 'role', title: 'powers off when Proxmox asks' },
] as const satisfies readonly CheckPlan[]

const plan = [
  ...imageChecks,
  ...firewallLostChecks,
  ...driftChecks,
  ...driftNamedChecks,
  ...roleChecks,
  ...preflightChecks,
]
export type KubernetesCheck = (typeof plan)[number]['name']

/** Console lines that a step provokes, by clone and start. */
const provoked: Readonly<Record<string, readonly AllowedLine[]>> = {
  'cp2 start 1': [refusedLine, tamperedLine, firewallLostLine],
}

/** A control plane that begins a cluster, a worker that joins it, and a spare that is prepared and examined. */
export const kubernetesContract: Contract = { checks: plan, run: prove }

async function prove(proof: TestRun): Promise<TestOutcome> {
  const stage = await buildNodes(proof)
  const scene = { clones: stage.clones, tearDown: () => tearDown(stage), provoked }
  return playImage<KubernetesCheck>(proof, plan, scene, (checks, seen) =>
    scenario(proof, stage, checks, seen),
  )
}

async function scenario(
  proof: TestRun,
  stage: NodeStage,
  checks: Recorder<KubernetesCheck>,
  seen: Observations,
): Promise<void> {
  const { progress, platform } = proof
  const { controlPlane, worker, spare, secrets } = stage
  const timeoutMs = bootTimeoutMs(proof.emulator.accelerator)

  progress.phase('a control plane, a worker and a control plane with a bad value boot')
  const endpoints = etcdEndpoints(platform)
  await startNode(stage, controlPlane, initValues(platform, controlPlane.seat, secrets, endpoints))
  await startNode(stage, worker, joinValues(platform, controlPlane.seat, secrets))
  await startNode(stage, spare, { ...spareValues(stage), ETCD_ENDPOINTS: badAddress })
  await together(
    awaitFirstBoot(checks, controlPlane.clone, seen, timeoutMs),
    awaitReady(worker.clone, timeoutMs).then(() => worker.clone.agent.ready(60_000)),
    checkRefusal(checks, stage, timeoutMs),
  )

  progress.phase('kubeadm is called; containers, firewalls and prerequisites are examined')
  await together(examineMembers(checks, proof, stage, seen), examineSpare(checks, stage))

  progress.phase('the image is read once more')
  await checks.run('identity', async () => {
    const nodes = [controlPlane, worker, spare]
    return compareIdentities(await Promise.all(nodes.map(({ clone }) => readIdentity(clone.agent))), [])
  })
  await checkFirewallLost(checks, spare.clone)
  await checkTampering(checks, spare.clone)
  await checkDriftNamed(checks, spare.clone)
  await together(
    checks.run('shutdown', async () => `off after ${seconds(await worker.clone.shutDown(120_000))}`),
    readImage(checks, proof, seen),
  )
}

async function checkRefusal(
  checks: Recorder<KubernetesCheck>,
  stage: NodeStage,
  timeoutMs: number,
): Promise<void> {
  const { spare, site } = stage
  const named = ['ETCD_ENDPOINTS', badAddress]
  await checks.run('bad-value', () =>
    awaitRefusal(spare.clone, /first-boot: ETCD_ENDPOINTS: /, named, timeoutMs),
  )
  const service = { unit: 'seeder-kubeadm.service', name: 'kubeadm' }
  await checks.run('reachable', () => checkReachable(spare.clone, site, spare.seat, service))
}

/** The two that have been told to become members. */
async function examineMembers(
  checks: Recorder<KubernetesCheck>,
  proof: TestRun,
  stage: NodeStage,
  seen: Observations,
): Promise<void> {
  const { platform } = proof
  const { controlPlane, worker, spare, secrets } = stage
  const { agent } = controlPlane.clone
  const states: KubeadmState[] = []
  const called = async (node: typeof worker, action: 'init' | 'join') => {
    const state = await awaitKubeadm(node, action)
    states.push(state)
    return `${state.state}: ${state.text}`
  }
  await checks.require('init-called', () => called(controlPlane, 'init'))
  await checks.require('join-called', () => called(worker, 'join'))
  await checkImage(checks, controlPlane.clone, {
    candidate: proof.candidate,
    firewall: nftablesFor(platform, 'control-plane'),
    sshKey: stage.sshKey.publicKey,
    diskBytes,
  })
  Object.assign(seen.boot, await bootCourse(controlPlane.clone))
  await checks.run('containerd', () => checkContainerd(agent))
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
  await checks.run('ports', () => checkMatrix(stage))
  await checks.run('ports-from-clones', async () => {
    const [nodes = '', database = ''] = platform.roles['control-plane'].zones
    const seen = [
      await checkFromClone(platform, worker, controlPlane, nodes),
      await checkFromClone(platform, controlPlane, worker, nodes),
      await checkFromClone(platform, spare, controlPlane, database || nodes),
    ]
    return seen.join(', ')
  })
  await checks.run('login', () => checkLogin(stage, worker.clone, worker.seat))
}

/** The one that had bad values: all of them, then none and no cluster, then what kubeadm would be given. */
async function examineSpare(checks: Recorder<KubernetesCheck>, stage: NodeStage): Promise<void> {
  const { spare, platform, emulator } = stage
  const { agent } = spare.clone
  const values = spareValues(stage)
  await checks.run('bad-values', () => checkBadValues(stage))
  await checks.require('prepared', async () => {
    const none = { NODE_ROLE: 'control-plane', BOOTSTRAP: 'none' }
    const status = await tryValues(spare.clone, none, stage.files)
    expect(status.state === 'ready', `first boot says ${status.state}: ${status.reason}`)
    const unit = (await agent.exec(['/bin/systemctl', 'is-active', 'seeder-kubeadm.service'])).stdout.trim()
    expect(unit === 'inactive', `seeder-kubeadm.service is ${unit}`)
    const count = await compareFirewall(agent, nftablesFor(platform, 'control-plane'))
    return `${status.reason}; ${count} rules of its firewall are equal`
  })
  await checkUndrifted(checks, [spare.clone])
  for (const prerequisite of prerequisites) {
    const context = { platform, accelerator: emulator.accelerator }
    await checks.run(prerequisite.name, () => checkPrerequisite(agent, prerequisite, context))
  }
  await checks.run('configuration', () => checkConfiguration(stage, spare, values))
}
