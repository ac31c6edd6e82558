import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'
import type { Platform } from '../../platform/schema.ts'
import { describeError } from '../../report/error.ts'
import { expect, type Recorder } from '../checks.ts'
import type { Clone } from '../clone.ts'
import { readIdentity } from '../guest.ts'
import { mayConnect } from '../reachable.ts'
import { ssh } from '../ssh.ts'
import { get, probePort } from '../visitor.ts'
import { apiName, apiPort, nodePorts } from './configuration.ts'
import type { ContractCheck } from './contract.ts'
import { serverStates, statesOf } from './metrics.ts'
import { addressIn, type Seat, visitorIn } from './site.ts'
import { operatorUser, type Stage } from './stage.ts'
import { askTimes, askUntil, isBalanced, type Sample, tally } from './traffic.ts'

// inter 2s, fall 2, rise 2 in the image's configuration: the second check that disagrees decides, at most 4 s
// after the change. The rest is for asking HAProxy through the guest agent, which is slow under emulation.
const checkTimeMs = 4000
const measuringMs = 2500

/** What was seen of a load balancer that serves. */
export interface RoleObservations {
  readonly balanced: readonly Sample[]
  readonly measured: Record<string, number>
}

/** Asks one ready load balancer, through its own addresses, for everything its role promises. */
export async function checkRole(
  checks: Recorder<ContractCheck>,
  stage: Stage,
  platform: Platform,
  clone: Clone,
  seat: Seat,
): Promise<RoleObservations> {
  const { site } = stage
  const names = site.workers.map(({ name }) => name)
  const route = (port: number) => ({
    from: visitorIn(site, site.edgeZone),
    to: addressIn(seat, site.edgeZone),
    port,
    timeoutMs: 8000,
  })
  const measured: Record<string, number> = {}
  let balanced: Sample[] = []
  await checks.run('round-robin', async () => {
    await settled(clone, names, 'UP')
    for (const port of nodePorts) {
      balanced = await askTimes(route(port), names.length * 4)
      expect(isBalanced(balanced, names), `port ${port}: ${tally(balanced)}`)
    }
    return `ports ${nodePorts.join(', ')}: ${tally(balanced)} each`
  })
  await checks.run('worker-lost', async () => {
    const [lost] = stage.workers
    expect(lost !== undefined, 'the site has no workers')
    await lost.stop()
    const began = performance.now()
    const [leftMs, during] = await Promise.all([
      settled(clone, [lost.peer.name], 'DOWN').then(() => performance.now() - began),
      askUntil(route(nodePorts[0]), () => false, checkTimeMs),
    ])
    measured.workerLostMs = Math.round(leftMs)
    expect(
      measured.workerLostMs <= checkTimeMs + measuringMs,
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
    await settled(clone, [lost.peer.name], 'UP')
    measured.workerReturnedMs = Math.round(performance.now() - began)
    const after = await askTimes(route(nodePorts[0]), names.length * 2)
    expect(isBalanced(after, names), `after it was back: ${tally(after)}`)
    return `back after ${seconds(measured.workerReturnedMs)}; then ${tally(after)}`
  })
  await checkApi(checks, stage, clone, seat)
  await checks.run('ports', () => checkPorts(stage, platform, seat))
  await checks.run('login', () => checkLogin(stage, clone, seat))
  return { balanced, measured }
}

async function checkApi(
  checks: Recorder<ContractCheck>,
  stage: Stage,
  clone: Clone,
  seat: Seat,
): Promise<void> {
  const { site, apiServers } = stage
  const [good, wrong] = [apiServers.slice(0, 2), apiServers.slice(2)]
  await checks.run('api', async () => {
    await settled(
      clone,
      good.map(({ peer }) => peer.name),
      'UP',
    )
    const route = {
      from: visitorIn(site, site.nodeZone),
      to: addressIn(seat, site.nodeZone),
      port: apiPort,
      timeoutMs: 8000,
    }
    const samples: { backend: string | undefined; error: string | undefined }[] = []
    for (let at = 0; at < 12; at++) {
      samples.push(
        await get(route, '/version', { ca: stage.certificates.ca, name: apiName }).then(
          (body) => ({
            backend: z.object({ server: z.string() }).parse(JSON.parse(body)).server,
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
export function hastyApiClient(stage: Stage, seat: Seat): { stop(): Promise<void> } {
  const { site } = stage
  const route = {
    from: visitorIn(site, site.nodeZone),
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
  clone: Clone,
  servers: readonly string[],
  wanted: 'UP' | 'DOWN',
): Promise<void> {
  const deadline = performance.now() + 20_000
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

// What a load balancer could be listening on, or what would be bad if it did.
const probed = [22, 25, 53, 80, 111, 443, 5355, 6443, 8405, 9100, 10250, 10256, 30080, 30443]

async function checkPorts(stage: Stage, platform: Platform, seat: Seat): Promise<string> {
  const { site } = stage
  const serving = new Set<number>([22, apiPort, ...nodePorts])
  const probes = Object.keys(site.visitors).flatMap((zone) => probed.map((port) => ({ zone, port })))
  const wrong: string[] = []
  await Promise.all(
    probes.map(async ({ zone, port }) => {
      const from = visitorIn(site, zone)
      const answer = await probePort({ from, to: addressIn(seat, zone), port, timeoutMs: 3000 })
      const meant = mayConnect(platform, 'haproxy', from, port)
        ? serving.has(port)
          ? 'open'
          : 'refused'
        : 'silent'
      if (answer !== meant) wrong.push(`${port} from ${zone} is ${answer}, meant to be ${meant}`)
    }),
  )
  expect(wrong.length === 0, wrong.join('; '))
  return `${probes.length} ports from ${Object.keys(site.visitors).join(', ')}: as the platform file says`
}

async function checkLogin(stage: Stage, clone: Clone, seat: Seat): Promise<string> {
  const { site, sshKey } = stage
  const target = {
    from: visitorIn(site, site.operatorZone),
    to: addressIn(seat, site.operatorZone),
    user: operatorUser,
    hostKeys: (await readIdentity(clone.agent)).hostKeys,
  }
  const folder = stage.folder
  const inside = await ssh(target, folder, [`IdentityFile=${sshKey.privateFile}`], 'hostname')
  expect(inside.exitCode === 0, `the operator's key was refused: ${inside.stderr.trim()}`)
  expect(inside.stdout.trim() === seat.hostname, `logged in to ${inside.stdout.trim()}`)
  const without = await ssh(target, folder, ['IdentityFile=none', 'PreferredAuthentications=none'], 'true')
  expect(without.stderr.includes('(publickey)'), `without a key ssh offers: ${without.stderr.trim()}`)
  return `the key opens ${inside.stdout.trim()} from ${site.operatorZone}; nothing but a key is accepted`
}

/** Milliseconds as seconds with one decimal. */
export function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`
}
