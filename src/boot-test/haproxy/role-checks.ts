import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'
import { parseJson } from '../../files/json.ts'
import { describeError } from '../../report/error.ts'
import type { Clone } from '../../vm/clone.ts'
import { expect, type Recorder } from '../checks.ts'
import type { Observations } from '../contract.ts'
import { seconds } from '../first-boot.ts'
import { checkLogin } from '../login.ts'
import { checkProbes, probesOf } from '../port-matrix.ts'
import { get } from '../probe.ts'
import { addressIn, type MachineSpec, probeIn } from '../site.ts'
import { apiName, apiPort, nodePorts } from './configuration.ts'
import type { HaproxyCheck } from './contract.ts'
import { serverStates, statesOf } from './metrics.ts'
import type { PairStage } from './test-bed.ts'
import { askTimes, askUntil, isBalanced, type Sample, tally } from './traffic.ts'

// inter 2s, fall 2, rise 2 in the image's configuration: the second check that disagrees decides, at most 4 s
// after the change. The rest is for asking HAProxy through the guest agent, which is slow under emulation, where
// moreover the machine's own seconds are longer than ours when six of them share two cores.
const checkTimeMs = 4000
const measuringMs = { kvm: 2500, tcg: 12_000 }
const patienceMs = { kvm: 20_000, tcg: 45_000 }

/** Asks one ready load balancer, through its own addresses, for everything its role promises. */
export async function checkRole(
  checks: Recorder<HaproxyCheck>,
  stage: PairStage,
  clone: Clone,
  seat: MachineSpec,
  seen: Observations,
): Promise<void> {
  const { site } = stage
  const names = site.workers.map(({ name }) => name)
  const route = (port: number) => ({
    from: probeIn(site, site.edgeZone),
    to: addressIn(seat, site.edgeZone),
    port,
    timeoutMs: 8000,
  })
  const { measured } = seen
  await checks.run('round-robin', async () => {
    await settled(stage, clone, names, 'UP')
    let samples: readonly Sample[] = []
    for (const port of nodePorts) {
      samples = await askTimes(route(port), names.length * 4)
      seen.balanced = samples.flatMap(({ backend, client }) =>
        backend && client ? [{ backend, client }] : [],
      )
      expect(isBalanced(samples, names), `port ${port}: ${tally(samples)}`)
    }
    return `ports ${nodePorts.join(', ')}: ${tally(samples)} each`
  })
  await checks.run('worker-lost', async () => {
    const [lost] = stage.workers
    expect(lost !== undefined, 'the site has no workers')
    await lost.stop()
    const began = performance.now()
    const [leftMs, during] = await Promise.all([
      settled(stage, clone, [lost.peer.name], 'DOWN').then(() => performance.now() - began),
      askUntil(route(nodePorts[0]), () => false, checkTimeMs),
    ])
    measured.workerLostMs = Math.round(leftMs)
    expect(
      measured.workerLostMs <= checkTimeMs + measuringMs[stage.emulator.accelerator],
      `it left after ${measured.workerLostMs} ms; its check time is ${checkTimeMs} ms`,
    )
    const others = names.filter((name) => name !== lost.peer.name)
    const after = await askTimes(route(nodePorts[0]), others.length * 3)
    expect(isBalanced(after, others), `after it had left: ${tally(after)}`)
    const failed = during.filter(({ error }) => error).length
    return `left after ${seconds(measured.workerLostMs)}; meanwhile ${failed} of ${during.length} requests failed; then ${tally(after)}`
  })
  await checks.run('worker-returns', async () => {
    const [lost] = stage.workers
    expect(lost !== undefined, 'the site has no workers')
    await lost.start()
    const began = performance.now()
    await settled(stage, clone, [lost.peer.name], 'UP')
    measured.workerReturnedMs = Math.round(performance.now() - began)
    const after = await askTimes(route(nodePorts[0]), names.length * 2)
    expect(isBalanced(after, names), `after it was back: ${tally(after)}`)
    return `back after ${seconds(measured.workerReturnedMs)}; then ${tally(after)}`
  })
  await checkApi(checks, stage, clone, seat)
  const { platform } = stage
  await checks.run('ports', () => checkProbes(probesOf(platform, site, seat, probed, serving)))
  await checks.run('login', () => checkLogin(stage, clone, seat))
}

async function checkApi(
  checks: Recorder<HaproxyCheck>,
  stage: PairStage,
  clone: Clone,
  seat: MachineSpec,
): Promise<void> {
  const { site, apiServers } = stage
  const [good, wrong] = [apiServers.slice(0, 2), apiServers.slice(2)]
  await checks.run('api', async () => {
    await settled(
      stage,
      clone,
      good.map(({ peer }) => peer.name),
      'UP',
    )
    const route = {
      from: probeIn(site, site.nodeZone),
      to: addressIn(seat, site.nodeZone),
      port: apiPort,
      timeoutMs: 8000,
    }
    const samples: { backend: string | undefined; error: string | undefined }[] = []
    for (let at = 0; at < 12; at++) {
      samples.push(
        await get(route, '/version', { ca: stage.certificates.ca, name: apiName }).then(
          (body) => ({
            backend: parseJson(body, z.object({ server: z.string() })).server,
            error: undefined,
          }),
          (error: unknown) => ({ backend: undefined, error: describeError(error) }),
        ),
      )
    }
    expect(
      isBalanced(
        samples,
        good.map(({ peer }) => peer.name),
      ),
      tally(samples),
    )
    return `over TLS as ${apiName}: ${tally(samples)}`
  })
  await checks.run('api-wrong-certificate', async () => {
    const states = await serverStates(clone.agent)
    const seen = wrong.map(({ peer, connections, handshakes }) => {
      const state = statesOf(states, peer.name).join(', ')
      expect(connections > 0, `HAProxy never tried ${peer.name}, so nothing was shown`)
      expect(state === 'DOWN', `${peer.name} is ${state || 'unknown to HAProxy'}`)
      expect(handshakes === 0, `${peer.name} was used ${handshakes} times`)
      return `${peer.name} tried ${connections} times`
    })
    return `wrong name and foreign authority are DOWN and never got past the handshake: ${seen.join(', ')}`
  })
}

/**
 * A client of the API that looks at no certificate and does not wait for anybody to be ready: from now on, until it
 * is told to stop, it takes whatever the load balancer gives it.
 */
export function hastyApiClient(stage: PairStage, seat: MachineSpec): { stop(): Promise<void> } {
  const { site } = stage
  const route = {
    from: probeIn(site, site.nodeZone),
    to: addressIn(seat, site.nodeZone),
    port: apiPort,
    timeoutMs: 1000,
  }
  let stopped = false
  const loop = async () => {
    while (!stopped) {
      await get(route, '/version', { name: apiName, ca: '' }).catch(() => undefined)
      await sleep(200)
    }
  }
  const ended = loop()
  return {
    stop: () => {
      stopped = true
      return ended
    },
  }
}

/** Waits until HAProxy holds all of these servers in a state, in every proxy. */
export async function settled(
  stage: PairStage,
  clone: Clone,
  servers: readonly string[],
  wanted: 'UP' | 'DOWN',
): Promise<void> {
  const deadline = performance.now() + patienceMs[stage.emulator.accelerator]
  for (;;) {
    const states = await serverStates(clone.agent)
    const found = servers.flatMap((server) => statesOf(states, server))
    if (found.length >= servers.length && found.every((state) => state === wanted)) return
    expect(
      performance.now() < deadline,
      `waited for ${servers.join(', ')} to be ${wanted}; HAProxy says ${found.join(', ') || 'nothing about them'}`,
    )
    await sleep(200)
  }
}

// What a load balancer could be listening on, or what would be bad if it did; and what it listens on.
const probed = {
  tcp: [22, 25, 53, 80, 111, 443, 5355, 6443, 8405, 9100, 10250, 10256, 30080, 30443],
  udp: [],
}
const serving = { tcp: [22, apiPort, ...nodePorts], udp: [] }
