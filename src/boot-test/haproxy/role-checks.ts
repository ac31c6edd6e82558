import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'
import { parseJson } from '../../files/json.ts'
import { describeError } from '../../report/error.ts'
import type { Clone } from '../../vm/clone.ts'
import { expect, type Recorder } from '../checks.ts'
import { seconds } from '../first-boot.ts'
import { API_PORT } from '../kubernetes/configuration.ts'
import { checkLogin } from '../login.ts'
import { checkPorts } from '../port-matrix.ts'
import { get, type Route } from '../probe.ts'
import { addressIn, probeIn } from '../site.ts'
import type { HaproxyCheck } from './checks.ts'
import { API_NAME, nodePorts } from './configuration.ts'
import { serverStates, statesOf } from './metrics.ts'
import type { HaproxyTestBed } from './test-bed.ts'
import { isBalanced, type Sample, sendRequests, sendRequestsUntil, tally } from './traffic.ts'

// inter 2s, fall 2, rise 2 in the image's configuration: the second check that disagrees decides, at most 4 s after the
// change. The rest is for queries of HAProxy through the guest agent, which are slow under emulation, where the seconds
// of a machine are longer as well when six of them share two cores.
const CHECK_TIME_MS = 4000
const measuringMs = { kvm: 2500, tcg: 12_000 }
const timeoutsMs = { kvm: 20_000, tcg: 45_000 }

/** Checks on the first clone of the pair, through its own addresses, what its role has to fulfil. */
export async function checkRole(checks: Recorder<HaproxyCheck>, bed: HaproxyTestBed): Promise<void> {
  const { site } = bed
  const [clone] = bed.pair
  const [machine] = site.pair
  const names = site.workers.map(({ name }) => name)
  const route = (port: number) => routeTo(bed, site.edgeZone, port, 8000)
  const { measured } = checks.observed
  await checks.run('round-robin', async () => {
    await awaitServers(bed, clone, names, 'UP')
    let samples: readonly Sample[] = []
    for (const port of nodePorts) {
      samples = await sendRequests(route(port), names.length * 4)
      checks.observed.balanced = samples.flatMap(({ backend, client }) =>
        backend && client ? [{ backend, client }] : [],
      )
      expect(isBalanced(samples, names), `port ${port}: ${tally(samples)}`)
    }
    return `ports ${nodePorts.join(', ')}: ${tally(samples)} each`
  })
  await checks.run('worker-lost', async () => {
    const [lost] = bed.workers
    expect(lost !== undefined, 'the site has no workers')
    await lost.stop()
    const began = performance.now()
    const [leftMs, during] = await Promise.all([
      awaitServers(bed, clone, [lost.peer.name], 'DOWN').then(() => performance.now() - began),
      sendRequestsUntil(route(nodePorts[0]), () => false, CHECK_TIME_MS),
    ])
    measured.workerLostMs = Math.round(leftMs)
    expect(
      measured.workerLostMs <= CHECK_TIME_MS + measuringMs[bed.emulator.accelerator],
      `it left after ${measured.workerLostMs} ms; its check time is ${CHECK_TIME_MS} ms`,
    )
    const others = names.filter((name) => name !== lost.peer.name)
    const after = await sendRequests(route(nodePorts[0]), others.length * 3)
    expect(isBalanced(after, others), `after it had left: ${tally(after)}`)
    const failed = during.filter(({ error }) => error).length
    return `left after ${seconds(measured.workerLostMs)}; meanwhile ${failed} of ${during.length} requests failed; then ${tally(after)}`
  })
  await checks.run('worker-returns', async () => {
    const [lost] = bed.workers
    expect(lost !== undefined, 'the site has no workers')
    await lost.start()
    const began = performance.now()
    await awaitServers(bed, clone, [lost.peer.name], 'UP')
    measured.workerReturnedMs = Math.round(performance.now() - began)
    const after = await sendRequests(route(nodePorts[0]), names.length * 2)
    expect(isBalanced(after, names), `after it was back: ${tally(after)}`)
    return `back after ${seconds(measured.workerReturnedMs)}; then ${tally(after)}`
  })
  await checkApi(checks, bed)
  await checks.run('ports', () => checkPorts(bed, { clone, machine }, serving, probed))
  await checks.run('login', () => checkLogin(bed, { clone, machine }))
}

// The ports on which a load balancer listens, and others on which it could, some of which would be dangerous.
const serving = { tcp: [22, API_PORT, ...nodePorts], udp: [] }
const probed = {
  tcp: [22, 25, 53, 80, 111, 443, 5355, 6443, 8405, 9100, 10250, 10256, 30080, 30443],
  udp: [],
}

/** From this process to the first of the pair. */
function routeTo({ site }: HaproxyTestBed, zone: string, port: number, timeoutMs: number): Route {
  return { from: probeIn(site, zone), to: addressIn(site.pair[0], zone), port, timeoutMs }
}

async function checkApi(checks: Recorder<HaproxyCheck>, bed: HaproxyTestBed): Promise<void> {
  const { site, apiServers, certificates } = bed
  const [clone] = bed.pair
  const [good, wrong] = [apiServers.slice(0, 2), apiServers.slice(2)]
  const names = good.map(({ peer }) => peer.name)
  await checks.run('api', async () => {
    await awaitServers(bed, clone, names, 'UP')
    const route = routeTo(bed, site.nodeZone, API_PORT, 8000)
    const samples: Pick<Sample, 'backend' | 'error'>[] = []
    for (let sent = 0; sent < 12; sent++) {
      samples.push(
        await get(route, '/version', { ca: certificates.ca, name: API_NAME }).then(
          (body) => ({
            backend: parseJson(body, z.object({ server: z.string() })).server,
            error: undefined,
          }),
          (error: unknown) => ({ backend: undefined, error: describeError(error) }),
        ),
      )
    }
    expect(isBalanced(samples, names), tally(samples))
    return `over TLS as ${API_NAME}: ${tally(samples)}`
  })
  await checks.run('api-wrong-certificate', async () => {
    const states = await serverStates(clone.agent)
    const found = wrong.map(({ peer, connections, handshakes }) => {
      const state = statesOf(states, peer.name).join(', ')
      expect(connections > 0, `HAProxy never connected to ${peer.name}, so that this check is void`)
      expect(state === 'DOWN', `${peer.name} is ${state || 'unknown to HAProxy'}`)
      expect(handshakes === 0, `${peer.name} was used ${handshakes} times`)
      return `${peer.name} tried ${connections} times`
    })
    return `wrong name and foreign authority are DOWN and never got past the handshake: ${found.join(', ')}`
  })
}

/**
 * Starts a client of the API that verifies no certificate and does not wait until the load balancer is ready: until it
 * is stopped, it uses any server that the load balancer connects it to.
 */
export function startApiClient(bed: HaproxyTestBed): { stop(): Promise<void> } {
  const route = routeTo(bed, bed.site.nodeZone, API_PORT, 1000)
  let stopped = false
  const loop = async () => {
    while (!stopped) {
      await get(route, '/version', { name: API_NAME, ca: '' }).catch(() => undefined)
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

/** Waits until these servers have a state in every proxy. */
export async function awaitServers(
  bed: HaproxyTestBed,
  clone: Clone,
  servers: readonly string[],
  wanted: 'UP' | 'DOWN',
): Promise<void> {
  const deadline = performance.now() + timeoutsMs[bed.emulator.accelerator]
  for (;;) {
    const states = await serverStates(clone.agent)
    const found = servers.flatMap((server) => statesOf(states, server))
    if (found.length >= servers.length && found.every((state) => state === wanted)) return
    expect(
      performance.now() < deadline,
      `waited for ${servers.join(', ')} to be ${wanted}; HAProxy reports ${found.join(', ') || 'no state of them'}`,
    )
    await sleep(200)
  }
}
