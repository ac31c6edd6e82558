import { expect, type Recorder } from '../checks.ts'
import type { Clone } from '../clone.ts'
import { guestStatus, type Identity, readIdentity } from '../guest.ts'
import { greeting } from '../visitor.ts'
import { badAddress, nodePorts } from './configuration.ts'
import type { ContractCheck } from './contract.ts'
import { seconds, settled } from './role-checks.ts'
import { addressIn, type Seat, visitorIn } from './site.ts'
import type { Stage } from './stage.ts'
import { askTimes, askUntil, type Sample, tally } from './traffic.ts'

// keepalived's peer takes over after three missed advertisements of a second each and a part of one more.
const takeoverLimitMs = 6000

/** A clone was given a value its role cannot use: it has to say so and stay reachable. */
export async function checkRefusal(
  checks: Recorder<ContractCheck>,
  stage: Stage,
  clone: Clone,
  seat: Seat,
  timeoutMs: number,
): Promise<void> {
  await checks.run('bad-value', async () => {
    const said = await clone.console.waitFor(/seeder-first-boot: /, 'the refusal', timeoutMs)
    expect(/first-boot: NODEPORT_BACKENDS: /.test(said.text), `the console says: ${said.text.trim()}`)
    await clone.agent.ready(timeoutMs)
    const status = await settledStatus(clone)
    expect(status.state === 'failed', `the agent is told "${status.state}"`)
    expect(
      status.reason.includes('NODEPORT_BACKENDS') && status.reason.includes(badAddress),
      `the agent is told "${status.reason}", which does not name the key and the value`,
    )
    return said.text.trim()
  })
  await checks.run('bad-value-reachable', async () => {
    const from = visitorIn(stage.site, stage.site.operatorZone)
    const to = addressIn(seat, stage.site.operatorZone)
    const words = await greeting({ from, to, port: 22, timeoutMs: 20_000 })
    expect(words.startsWith('SSH-2.0-'), `port 22 says "${words}"`)
    const serving = (await clone.agent.exec(['/bin/systemctl', 'is-active', 'haproxy.service'])).stdout.trim()
    expect(serving !== 'active', 'HAProxy serves although its values were refused')
    return `ssh answers (${words}), HAProxy is ${serving}`
  })
}

async function settledStatus(clone: Clone) {
  // The console line is printed before the unit has ended; --wait returns once every job has.
  await clone.agent.exec(['/bin/systemctl', 'is-system-running', '--wait'], { timeoutMs: 180_000 })
  return guestStatus(clone.agent)
}

/** Two clones of the same image have nothing in common that says who they are. */
export async function checkIdentity(
  checks: Recorder<ContractCheck>,
  stage: Stage,
  [first, second]: readonly [Identity, Identity],
): Promise<void> {
  await checks.run('identity', async () => {
    const shared = (['hostname', 'machineId', 'randomSeed'] as const).filter(
      (key) => first[key] === second[key],
    )
    expect(shared.length === 0, `both have the same ${shared.join(', ')}`)
    const keys = first.hostKeys.filter((key) => second.hostKeys.includes(key))
    expect(keys.length === 0, `both have the ssh host key ${keys[0]}`)
    const ids = stage.site.seats.flatMap(({ nics }) =>
      nics.flatMap(({ mac }) => stage.dhcp.clients.get(mac) ?? []),
    )
    const duids = stage.site.seats.map(({ nics }) =>
      duidOf(nics.flatMap(({ mac }) => stage.dhcp.clients.get(mac) ?? [])),
    )
    expect(ids.length > 0, 'neither of them asked for an address by DHCP')
    expect(duids[0] !== duids[1], `both call themselves ${duids[0]} to DHCP servers`)
    return `different machine ids, ${first.hostKeys.length} host keys each, random seeds, DUIDs and host names`
  })
}

/** The DUID in a DHCP client identifier of type 255 (RFC 4361): it follows the card's own four bytes. */
function duidOf(clientIds: readonly string[]): string {
  const [id = ''] = clientIds
  return id.startsWith('ff') ? id.slice(10) : id
}

/** The first of the pair holds the VIP; when its VM dies, the other one takes it. */
export async function checkFailover(
  checks: Recorder<ContractCheck>,
  stage: Stage,
  measured: Record<string, number>,
): Promise<void> {
  const { site } = stage
  const [master, backup] = [site.seats[0], site.seats[1]].map((seat) => addressIn(seat, site.nodeZone))
  const route = {
    from: visitorIn(site, site.edgeZone),
    to: site.vip,
    port: nodePorts[0],
    timeoutMs: 1000,
  }
  await checks.require('vip', async () => {
    const calm = (samples: readonly Sample[]) =>
      samples.length >= 6 && samples.slice(-6).every(({ client }) => client === master)
    const samples = await askUntil(route, calm, 30_000)
    expect(calm(samples), `the VIP is answered by ${tallyClients(samples)}, not steadily by ${master}`)
    return `${site.vip} is answered by ${site.seats[0].hostname}`
  })
  await checks.run('failover', async () => {
    const killed = performance.now()
    await stage.clones[0].kill()
    const taken = (samples: readonly Sample[]) =>
      samples.length >= 5 && samples.slice(-5).every(({ client }) => client === backup)
    const samples = await askUntil(route, taken, 30_000)
    expect(taken(samples), `nobody took the VIP: ${tally(samples.slice(-5))}`)
    const first = samples.find(({ client }) => client === backup)
    measured.failoverMs = Math.round((first?.at ?? 0) - killed)
    expect(
      measured.failoverMs <= takeoverLimitMs,
      `${site.seats[1].hostname} took the VIP after ${seconds(measured.failoverMs)}, later than ${seconds(takeoverLimitMs)}`,
    )
    const lost = samples.filter(({ error }) => error).length
    return `${site.seats[1].hostname} answers ${seconds(measured.failoverMs)} after the VM of ${site.seats[0].hostname} was killed; ${lost} requests were lost`
  })
}

function tallyClients(samples: readonly Sample[]): string {
  return tally(samples.map(({ client, error }) => ({ backend: client, error })))
}

/** After its address was edited, and once it is `ready`, a clone serves on the new one and is still the same host to ssh. */
export async function checkReaddressed(
  checks: Recorder<ContractCheck>,
  stage: Stage,
  clone: Clone,
  before: Identity,
  ready: Promise<unknown>,
): Promise<void> {
  const { site } = stage
  await checks.run('readdressed', async () => {
    await ready
    await settled(
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
    const [old, moved] = [site.seats[0], site.moved].map((seat) => addressIn(seat, site.edgeZone))
    const route = { from: visitorIn(site, site.edgeZone), port: nodePorts[0], timeoutMs: 3000 }
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
