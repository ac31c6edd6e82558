import { expect, type Recorder } from '../checks.ts'
import { awaitRefusal, BAD_ADDRESS, checkReachable, seconds } from '../first-boot.ts'
import { type Identity, readIdentity } from '../identity.ts'
import { addressIn, probeIn } from '../site.ts'
import type { HaproxyCheck } from './checks.ts'
import { nodePorts } from './configuration.ts'
import { awaitServers } from './role-checks.ts'
import type { HaproxyTestBed } from './test-bed.ts'
import { type Sample, sendRequests, sendRequestsUntil, tally } from './traffic.ts'

// keepalived's peer takes over after three missed advertisements of a second each and a part of one more. An emulated
// machine that shares the processor is slower.
const takeoverLimitMs = { kvm: 6000, tcg: 15_000 }
const timeoutsMs = { kvm: 30_000, tcg: 60_000 }

/** The second clone refuses a value that its role cannot use, and stays reachable. */
export async function checkRefusal(checks: Recorder<HaproxyCheck>, bed: HaproxyTestBed): Promise<void> {
  const clone = bed.pair[1]
  const refusal = {
    pattern: /first-boot: NODEPORT_BACKENDS: /,
    named: ['NODEPORT_BACKENDS', BAD_ADDRESS],
  }
  await checks.run('bad-value', () => awaitRefusal(clone, refusal, bed.bootTimeoutMs))
  const service = { unit: 'haproxy.service', name: 'HAProxy' }
  const node = { clone, machine: bed.site.pair[1] }
  await checks.run('bad-value-reachable', () => checkReachable(bed, node, service))
}

/** The first of the pair holds the VIP; when its VM dies, the second takes it. */
export async function checkFailover(checks: Recorder<HaproxyCheck>, bed: HaproxyTestBed): Promise<void> {
  const { site } = bed
  const { accelerator } = bed.emulator
  const { measured } = checks.observed
  const limitMs = takeoverLimitMs[accelerator]
  const [first, second] = site.pair
  const [master, backup] = [addressIn(first, site.nodeZone), addressIn(second, site.nodeZone)]
  const route = { from: probeIn(site, site.edgeZone), to: site.vip, port: nodePorts[0], timeoutMs: 1000 }
  const answeredBy = (address: string, count: number) => (samples: readonly Sample[]) =>
    samples.length >= count && samples.slice(-count).every(({ client }) => client === address)
  await checks.require('vip', async () => {
    const steady = answeredBy(master, 6)
    const samples = await sendRequestsUntil(route, steady, timeoutsMs[accelerator])
    const clients = samples.map(({ client, error }) => ({ backend: client, error }))
    expect(steady(samples), `the VIP is answered by ${tally(clients)}, not steadily by ${master}`)
    return `${site.vip} is answered by ${first.hostname}`
  })
  await checks.run('failover', async () => {
    const killed = performance.now()
    await bed.pair[0].kill()
    const taken = answeredBy(backup, 5)
    const samples = await sendRequestsUntil(route, taken, timeoutsMs[accelerator])
    expect(taken(samples), `no machine took the VIP: ${tally(samples.slice(-5))}`)
    const response = samples.find(({ client }) => client === backup)
    measured.failoverMs = Math.round((response?.time ?? 0) - killed)
    expect(
      measured.failoverMs <= limitMs,
      `${second.hostname} took the VIP after ${seconds(measured.failoverMs)}, later than ${seconds(limitMs)}`,
    )
    const lost = samples.filter(({ error }) => error).length
    return `${second.hostname} answers ${seconds(measured.failoverMs)} after the VM of ${first.hostname} was killed; ${lost} requests were lost`
  })
}

/** Once the first clone is `ready` after an edit of its address, it serves there with the same ssh host keys. */
export async function checkReaddressed(
  checks: Recorder<HaproxyCheck>,
  bed: HaproxyTestBed,
  before: Identity,
  ready: Promise<unknown>,
): Promise<void> {
  const { site } = bed
  const [clone] = bed.pair
  await checks.run('readdressed', async () => {
    await ready
    const workers = site.workers.map(({ name }) => name)
    await awaitServers(bed, clone, workers, 'UP')
    const now = await readIdentity(clone.agent)
    const same =
      now.hostKeys.length === before.hostKeys.length &&
      now.hostKeys.every((key) => before.hostKeys.includes(key))
    expect(same, 'its ssh host keys are new: every operator would be warned of an attack')
    expect(now.machineId === before.machineId, 'its machine id has changed')
    const [old, moved] = [addressIn(site.pair[0], site.edgeZone), addressIn(site.moved, site.edgeZone)]
    const route = { from: probeIn(site, site.edgeZone), port: nodePorts[0], timeoutMs: 3000 }
    const responses = await sendRequests({ ...route, to: moved }, 3)
    const failed = responses.some(({ error }) => error)
    expect(!failed, `on ${moved}: ${tally(responses)}`)
    const [stale] = await sendRequests({ ...route, to: old }, 1)
    expect(stale?.error !== undefined, `the old address ${old} still answers`)
    return `serves on ${moved} instead of ${old} with the same ${now.hostKeys.length} host keys`
  })
}
