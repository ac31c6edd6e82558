import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'
import { parseJson } from '../../files/json.ts'
import { fileDigest } from '../../store/digest.ts'
import { expect, type Recorder } from '../checks.ts'
import type { TestOutcome } from '../contract.ts'
import { checkUndrifted } from '../drift-checks.ts'
import { CLIENT_PORT } from '../etcd/client.ts'
import { awaitNode, seconds } from '../first-boot.ts'
import { API_NAME } from '../haproxy/configuration.ts'
import { serverStates, statesOf } from '../haproxy/metrics.ts'
import { API_PORT } from '../kubernetes/configuration.ts'
import { get, probePort } from '../probe.ts'
import { withReturnRoutes } from '../return-routes.ts'
import { checkRoutes, checkServiceRoute } from '../routes.ts'
import { runScenario, settleAll } from '../scenario.ts'
import { addressFrom, type MachineSpec, probeIn } from '../site.ts'
import type { PlacedClone } from '../test-bed.ts'
import { misplacedAddresses } from './addresses.ts'
import { type TogetherCheck, togetherChecks } from './checks.ts'
import { retry } from './cluster.ts'
import { apiVip } from './configuration.ts'
import { checkDatabase, requestOwnApi } from './control-plane.ts'
import { checkFounded, checkJoined, patienceFor } from './founding.ts'
import { checkRenewed } from './renewal.ts'
import { buildTogetherTestBed, type Images, type TogetherRun, type TogetherTestBed } from './test-bed.ts'
import { testWorkload } from './workload.ts'

// HAProxy uses a server after two checks, and keepalived waits for a peer that does not exist.
const SETTLE_MS = 60_000
const versionSchema = z.object({ gitVersion: z.string() })

/** Tests that the images found a cluster: a load balancer, a member of etcd, a control plane, a worker that joins. */
export async function testTogether(run: TogetherRun): Promise<TestOutcome> {
  const bed = await buildTogetherTestBed(run)
  return runScenario<TogetherCheck>(bed, {
    plan: togetherChecks,
    run: (checks) => testPlatform(checks, bed),
    afterwards: async (checks) => {
      await checks.run('digests', () => checkDigests(bed.images))
    },
  })
}

async function testPlatform(checks: Recorder<TogetherCheck>, bed: TogetherTestBed): Promise<void> {
  const { balancer, controlPlane, etcd, worker, site, platform } = bed
  bed.progress.phase('a load balancer, a control plane and a member of etcd boot')
  for (const { clone, drive } of [etcd, controlPlane, balancer]) await clone.start(drive)
  let bootMs = 0
  const ready = async (name: TogetherCheck, { clone }: PlacedClone) =>
    checks.require(name, async () => {
      const took = await awaitNode(clone, bed.bootTimeoutMs)
      bootMs = Math.max(bootMs, took)
      return `ready after ${seconds(took)}`
    })
  await settleAll(ready('load-balancer', balancer), ready('control-plane', controlPlane), ready('etcd', etcd))

  const vip = apiVip(platform)
  const patience = patienceFor(bootMs)
  bed.progress.phase('kubeadm founds the cluster')
  await checks.require('founded', () => checkFounded(bed, patience))
  bed.progress.phase('a worker joins it')
  await checks.require('joined', () => checkJoined(bed, patience))

  bed.progress.phase('they connect to each other')
  await checks.run('database', () => checkDatabase(bed))
  await checks.require('balanced', () => awaitBackend(bed))
  await checks.run('api-from-home', async () => {
    const route = {
      from: probeIn(site, site.operatorZone),
      to: vip.address,
      port: API_PORT,
      timeoutMs: 8000,
    }
    const began = performance.now()
    const body = await retry(SETTLE_MS, () => get(route, '/version', { name: API_NAME, ca: bed.clusterCa }))
    checks.observed.measured.apiFromHomeMs = Math.round(performance.now() - began)
    return `from ${route.from} in ${site.operatorZone} to ${vip.address}: ${parseJson(body, versionSchema).gitVersion} answers`
  })
  await checks.run('api-from-control-plane', async () => {
    const body = await requestOwnApi(bed, vip.address)
    return `to ${vip.address} in ${vip.zone}: ${parseJson(body, versionSchema).gitVersion} answers`
  })
  await testWorkload(checks, bed, patience)
  await checks.run('renewed', () => checkRenewed(bed, patience))
  const clones = [balancer, controlPlane, etcd, worker]
  await checks.run('addresses', async () => {
    const wrong: string[] = []
    for (const { clone, machine } of clones) {
      wrong.push(...misplacedAddresses(platform, machine, await clone.agent.shell('ip -json address')))
    }
    expect(wrong.length === 0, wrong.join('; '))
    const cards = ({ nics }: MachineSpec) => nics.map(({ zone, ip }) => `${zone} ${ip}`).join(', ')
    return clones.map(({ machine }) => `${machine.hostname} ${cards(machine)}`).join('; ')
  })
  await checkRoutes(checks, clones)
  await checkServiceRoute(checks, platform, [controlPlane, worker])
  await checks.run('no-way-around', () => checkNoWayAround(bed))
  await checkUndrifted(
    checks,
    clones.map(({ clone }) => clone),
  )
}

async function awaitBackend({ balancer, controlPlane }: TogetherTestBed): Promise<string> {
  const { hostname } = controlPlane.machine
  let found: string[] = []
  for (const deadline = performance.now() + SETTLE_MS; performance.now() < deadline; await sleep(500)) {
    found = statesOf(await serverStates(balancer.clone.agent), hostname)
    if (found.length > 0 && found.every((state) => state === 'UP')) {
      return `${hostname} answers /readyz with the cluster’s certificate: UP`
    }
  }
  expect(false, `HAProxy reports ${hostname} as ${found.join(', ') || 'unknown'}`)
}

async function checkNoWayAround(bed: TogetherTestBed): Promise<string> {
  const { controlPlane, etcd, site } = bed
  const zone = site.operatorZone
  const targets = [
    { node: controlPlane, port: API_PORT },
    { node: etcd, port: CLIENT_PORT },
  ]
  const found: string[] = []
  for (const { node, port } of targets) {
    const { hostname } = node.machine
    const route = { from: probeIn(site, zone), to: addressFrom(node.machine, zone), timeoutMs: 4000 }
    await withReturnRoutes(bed, node, async () => {
      const answer = await probePort({ ...route, port })
      expect(answer === 'silent', `${port} of ${hostname} is ${answer} from ${zone}`)
      // Without an answer of ssh, the silence of the port would show nothing.
      const ssh = await probePort({ ...route, port: 22, timeoutMs: 12_000 })
      expect(ssh === 'open', `ssh of ${hostname} is ${ssh} from ${zone}`)
    })
    found.push(`${port} of ${hostname} is silent from ${zone}`)
  }
  return found.join(', ')
}

async function checkDigests(images: Images): Promise<string> {
  const seen: string[] = []
  for (const { name, qcow2, manifest } of Object.values(images)) {
    const { sha256 } = await fileDigest(qcow2)
    if (manifest) {
      const wanted = manifest.qcow2.sha256
      expect(sha256 === wanted, `${name} is ${sha256}; its manifest says ${wanted}`)
    }
    seen.push(`${name} ${sha256.slice(0, 16)}…${manifest ? '' : ' (no manifest to compare with)'}`)
  }
  return seen.join(', ')
}
