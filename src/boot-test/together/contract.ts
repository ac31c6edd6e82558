import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'
import { parseJson } from '../../files/json.ts'
import { describeError } from '../../report/error.ts'
import { fileDigest } from '../../store/disk-digest.ts'
import { type CheckPlan, expect, type Recorder } from '../checks.ts'
import type { Observations, TestOutcome } from '../contract.ts'
import { checkUndrifted, driftChecks } from '../drift-checks.ts'
import { clientPort } from '../etcd/client.ts'
import { awaitReady, bootTimeoutMs, seconds } from '../first-boot.ts'
import { apiName } from '../haproxy/configuration.ts'
import { serverStates, statesOf } from '../haproxy/metrics.ts'
import { apiPort } from '../kubernetes/configuration.ts'
import { get, probePort } from '../probe.ts'
import { play, together } from '../scenario.ts'
import { addressFrom, probeIn } from '../site.ts'
import { tearDown } from '../test-bed.ts'
import { misplaced } from './addresses.ts'
import { apiVip } from './configuration.ts'
import { askOwnApi, checkDatabase, playApiServer } from './control-plane.ts'
import {
  buildTogether,
  type Images,
  type PlacedClone,
  type TogetherProof,
  type TogetherStage,
} from './test-bed.ts'

/** What the images have to fulfil with each other. */
export const togetherChecks = [
  { name: 'load-balancer', group: 'boot', title: 'the load balancer is ready' },
  { name: 'control-plane', group: 'boot', title: 'the control plane is ready' },
  { name: 'etcd', group: 'boot', title: 'etcd is ready' },
  { name: 'addresses', group: 'network', title: 'every address is in its zone of the network table' },
  {
    name: 'database',
    group: 'network',
    title: 'the control plane reaches etcd with its certificate, and only so',
  },
  { name: 'balanced', group: 'network', title: 'the load balancer finds the API ready' },
  {
    name: 'api-from-home',
    group: 'network',
    title: 'a request from the operator’s zone reaches the API by its VIP',
  },
  {
    name: 'api-from-control-plane',
    group: 'network',
    title: 'and so does one from the control plane itself',
  },
  {
    name: 'no-way-around',
    group: 'network',
    title: 'the API and etcd are not reached past the load balancer',
  },
  ...driftChecks,
  { name: 'console', group: 'boot', title: 'no failure on any console' },
  { name: 'digests', group: 'artifact', title: 'the images are still their manifests’' },
] as const satisfies readonly CheckPlan[]
type TogetherCheck = (typeof togetherChecks)[number]['name']

// A load balancer takes a server back after two checks; keepalived waits for a peer that is not there.
const settleMs = 60_000
const version = z.object({ server: z.string() })

/** Proves that one clone of each image makes a platform: HAProxy, the API's port behind it, etcd behind that. */
export async function testTogether(proof: TogetherProof): Promise<TestOutcome> {
  const stage = await buildTogether(proof)
  const scene = { clones: stage.clones, tearDown: () => tearDown(stage), provoked: {} }
  return play<TogetherCheck>(
    togetherChecks,
    proof.progress,
    scene,
    (checks, seen) => scenario(proof, stage, checks, seen),
    async (checks) => {
      await checks.run('digests', () => checkDigests(proof.images))
    },
  )
}

async function scenario(
  proof: TogetherProof,
  stage: TogetherStage,
  checks: Recorder<TogetherCheck>,
  seen: Observations,
): Promise<void> {
  const { balancer, controlPlane, etcd, site, platform } = stage
  proof.progress.phase('a load balancer, a control plane and a member of etcd boot')
  for (const { clone, drive } of [etcd, controlPlane, balancer]) await clone.start(drive)
  const timeoutMs = bootTimeoutMs(proof.emulator.accelerator)
  const ready = async (name: TogetherCheck, { clone }: PlacedClone) =>
    checks.require(name, async () => {
      const ms = await awaitReady(clone, timeoutMs)
      await clone.agent.ready(60_000)
      return `ready after ${seconds(ms)}`
    })
  await together(
    ready('load-balancer', balancer),
    ready('control-plane', controlPlane).then(() => playApiServer(stage)),
    ready('etcd', etcd),
  )

  proof.progress.phase('they are asked for each other')
  const vip = apiVip(platform)
  await checks.run('database', () => checkDatabase(stage))
  await checks.require('balanced', () => awaitBackend(stage))
  await checks.run('api-from-home', async () => {
    const route = {
      from: probeIn(site, site.operatorZone),
      to: vip.address,
      port: apiPort,
      timeoutMs: 8000,
    }
    const began = performance.now()
    const body = await patiently(() => get(route, '/version', { name: apiName, ca: stage.clusterCa }))
    seen.measured.apiFromHomeMs = Math.round(performance.now() - began)
    return `${route.from} in ${site.operatorZone} asks ${vip.address}: ${parseJson(body, version).server} answers`
  })
  await checks.run('api-from-control-plane', async () => {
    const body = await askOwnApi(stage, vip.address)
    return `it asks ${vip.address} in ${vip.zone}: ${parseJson(body, version).server} answers`
  })
  await checks.run('addresses', async () => {
    const machines = [balancer, controlPlane, etcd]
    const wrong: string[] = []
    for (const machine of machines) {
      wrong.push(...misplaced(platform, machine, await machine.clone.agent.shell('ip -json address')))
    }
    expect(wrong.length === 0, wrong.join('; '))
    return machines
      .map(({ seat }) => `${seat.hostname} ${seat.nics.map(({ zone, ip }) => `${zone} ${ip}`).join(', ')}`)
      .join('; ')
  })
  await checks.run('no-way-around', () => checkNoWayAround(stage))
  await checkUndrifted(
    checks,
    [balancer, controlPlane, etcd].map(({ clone }) => clone),
  )
}

async function awaitBackend({ balancer, controlPlane }: TogetherStage): Promise<string> {
  const { hostname } = controlPlane.seat
  let found: string[] = []
  for (const deadline = performance.now() + settleMs; performance.now() < deadline; await sleep(500)) {
    found = statesOf(await serverStates(balancer.clone.agent), hostname)
    if (found.length > 0 && found.every((state) => state === 'UP')) {
      return `${hostname} answers /readyz with the cluster’s certificate: UP`
    }
  }
  expect(false, `HAProxy holds ${hostname} for ${found.join(', ') || 'nothing it knows'}`)
}

/** The VIP is taken a few seconds after HAProxy is ready. */
async function patiently<T>(attempt: () => Promise<T>): Promise<T> {
  for (const deadline = performance.now() + settleMs; ; await sleep(500)) {
    try {
      return await attempt()
    } catch (error) {
      expect(performance.now() < deadline, describeError(error))
    }
  }
}

async function checkNoWayAround({ controlPlane, etcd, site }: TogetherStage): Promise<string> {
  const zone = site.operatorZone
  const doors = [
    { seat: controlPlane.seat, port: apiPort },
    { seat: etcd.seat, port: clientPort },
  ]
  for (const { seat, port } of doors) {
    const route = { from: probeIn(site, zone), to: addressFrom(seat, zone), timeoutMs: 4000 }
    const answer = await probePort({ ...route, port })
    expect(answer === 'silent', `${port} of ${seat.hostname} is ${answer} from ${zone}`)
    // Otherwise the silence would say nothing.
    const ssh = await probePort({ ...route, port: 22, timeoutMs: 12_000 })
    expect(ssh === 'open', `ssh of ${seat.hostname} is ${ssh} from ${zone}`)
  }
  return doors.map(({ seat, port }) => `${port} of ${seat.hostname} is silent from ${zone}`).join(', ')
}

async function checkDigests(images: Images): Promise<string> {
  const seen: string[] = []
  for (const { image, qcow2, manifest } of Object.values(images)) {
    const { sha256 } = await fileDigest(qcow2)
    if (manifest) {
      const wanted = manifest.qcow2.sha256
      expect(sha256 === wanted, `${image} is ${sha256}; its manifest says ${wanted}`)
    }
    seen.push(`${image} ${sha256.slice(0, 16)}…${manifest ? '' : ' (no manifest to compare with)'}`)
  }
  return seen.join(', ')
}
