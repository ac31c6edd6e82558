import type { Clone } from '../../vm/clone.ts'
import { expect, type Recorder } from '../checks.ts'
import { awaitRefusal, checkReachable, seconds } from '../first-boot.ts'
import { type Identity, readIdentity } from '../guest-facts.ts'
import { addressIn, type MachineSpec, probeIn } from '../site.ts'
import { badAddress, nodePorts } from './configuration.ts'
import type { HaproxyCheck } from './contract.ts'
import { settled } from './role-checks.ts'
import type { PairStage } from './test-bed.ts'
import { askTimes, askUntil, type Sample, tally } from './traffic.ts'

// keepalived's peer takes over after three missed advertisements of a second each and a part of one more. An emulated
// machine's seconds are longer than ours when it has to share the processor.
const takeoverLimitMs = { kvm: 6000, tcg: 15_000 }
const patienceMs = { kvm: 30_000, tcg: 60_000 }

/** A clone was given a value its role cannot use: it has to say so and stay reachable. */
export async function checkRefusal(
  checks: Recorder<HaproxyCheck>,
  stage: PairStage,
  clone: Clone,
  seat: MachineSpec,
  timeoutMs: number,
): Promise<void> {
  const named = ['NODEPORT_BACKENDS', badAddress]
  await checks.run('bad-value', () =>
    awaitRefusal(clone, /first-boot: NODEPORT_BACKENDS: /, named, timeoutMs),
  )
  const service = { unit: 'haproxy.service', name: 'HAProxy' }
  await checks.run('bad-value-reachable', () => checkReachable(clone, stage.site, seat, service))
}

/** The first of the pair holds the VIP; when its VM dies, the other one takes it. */
export async function checkFailover(
  checks: Recorder<HaproxyCheck>,
  stage: PairStage,
  measured: Record<string, number>,
): Promise<void> {
  const { site } = stage
  const { accelerator } = stage.emulator
  const limitMs = takeoverLimitMs[accelerator]
  const [master, backup] = [site.pair[0], site.pair[1]].map((seat) => addressIn(seat, site.nodeZone))
  const route = {
    from: probeIn(site, site.edgeZone),
    to: site.vip,
    port: nodePorts[0],
    timeoutMs: 1000,
  }
  await checks.require('vip', async () => {
    const calm = (samples: readonly Sample[]) =>
      samples.length >= 6 && samples.slice(-6).every(({ client }) => client === master)
    const samples = await askUntil(route, calm, patienceMs[accelerator])
    expect(calm(samples), `the VIP is answered by ${tallyClients(samples)}, not steadily by ${master}`)
    return `${site.vip} is answered by ${site.pair[0].hostname}`
  })
  await checks.run('failover', async () => {
    const killed = performance.now()
    await stage.pair[0].kill()
    const taken = (samples: readonly Sample[]) =>
      samples.length >= 5 && samples.slice(-5).every(({ client }) => client === backup)
    const samples = await askUntil(route, taken, patienceMs[accelerator])
    expect(taken(samples), `nobody took the VIP: ${tally(samples.slice(-5))}`)
    const first = samples.find(({ client }) => client === backup)
    measured.failoverMs = Math.round((first?.at ?? 0) - killed)
    expect(
      measured.failoverMs <= limitMs,
      `${site.pair[1].hostname} took the VIP after ${seconds(measured.failoverMs)}, later than ${seconds(limitMs)}`,
    )
    const lost = samples.filter(({ error }) => error).length
    return `${site.pair[1].hostname} answers ${seconds(measured.failoverMs)} after the VM of ${site.pair[0].hostname} was killed; ${lost} requests were lost`
  })
}

function tallyClients(samples: readonly Sample[]): string {
  return tally(samples.map(({ client, error }) => ({ backend: client, error })))
}

/** After its address was edited, and once it is `ready`, a clone serves on the new one and is still the same host to ssh. */
export async function checkReaddressed(
  checks: Recorder<HaproxyCheck>,
  stage: PairStage,
  clone: Clone,
  before: Identity,
  ready: Promise<unknown>,
): Promise<void> {
  const { site } = stage
  await checks.run('readdressed', async () => {
    await ready
    await settled(
      stage,
      clone,
      site.workers.map(({ name }) => name),
      'UP',
    )
    const now = await readIdentity(clone.agent)
    const same =
      now.hostKeys.length === before.hostKeys.length &&
      now.hostKeys.every((key) => before.hostKeys.includes(key))
    expect(same, 'its ssh host keys are new: every operator would be warned of an attack')
    expect(now.machineId === before.machineId, 'its machine id has changed')
    const [old, moved] = [site.pair[0], site.moved].map((seat) => addressIn(seat, site.edgeZone))
    const route = { from: probeIn(site, site.edgeZone), port: nodePorts[0], timeoutMs: 3000 }
    const answers = await askTimes({ ...route, to: moved ?? '' }, 3)
    expect(
      answers.every(({ error }) => !error),
      `on ${moved}: ${tally(answers)}`,
    )
    const [stale] = await askTimes({ ...route, to: old ?? '' }, 1)
    expect(stale?.error !== undefined, `the old address ${old} still answers`)
    return `serves on ${moved} instead of ${old} with the same ${now.hostKeys.length} host keys`
  })
}
