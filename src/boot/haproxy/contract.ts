import { join } from 'node:path'
import { nftablesFor } from '../../platform/nftables.ts'
import { Abandoned, type CheckPlan, type CheckResult, Checks, expect, type Recorder } from '../checks.ts'
import type { Clone } from '../clone.ts'
import { type AllowedLine, consoleFailures, harmlessLines } from '../console-failures.ts'
import type { Contract, Proof, ProofOutcome } from '../contract.ts'
import { readIdentity } from '../guest.ts'
import {
  type BootTimes,
  bootStages,
  checkArtifact,
  checkConsoles,
  checkImage,
  checkTampering,
  imageChecks,
} from '../image-checks.ts'
import { nodeValues, withBadValue } from './configuration.ts'
import { checkFailover, checkIdentity, checkReaddressed, checkRefusal } from './pair-checks.ts'
import { checkRole, hastyApiClient, type RoleObservations, seconds } from './role-checks.ts'
import { buildStage, diskBytes, type Stage, strikeStage } from './stage.ts'

const roleChecks = [
  { name: 'round-robin', group: 'role', title: 'connections go to every worker in turn' },
  { name: 'worker-lost', group: 'role', title: 'a dead worker leaves within its check time' },
  { name: 'worker-returns', group: 'role', title: 'and returns when it is back' },
  { name: 'api', group: 'role', title: 'the Kubernetes API is served on 6443' },
  {
    name: 'api-wrong-certificate',
    group: 'role',
    title: 'an API server with a wrong certificate is never used',
  },
  { name: 'ports', group: 'role', title: 'no port answers that the platform file does not open' },
  { name: 'login', group: 'role', title: 'the operator logs in with a key, and nothing else is accepted' },
  { name: 'bad-value', group: 'pair', title: 'a bad value is named on the console and to the agent' },
  { name: 'bad-value-reachable', group: 'pair', title: 'and the machine stays reachable' },
  { name: 'shutdown', group: 'pair', title: 'powers off when Proxmox asks' },
  { name: 'corrected', group: 'pair', title: 'serves once the value is corrected' },
  { name: 'identity', group: 'pair', title: 'two clones share no identity' },
  { name: 'vip', group: 'pair', title: 'the VIP is answered by the first of the pair' },
  { name: 'failover', group: 'pair', title: 'and by the second when the first one’s VM is killed' },
  { name: 'readdressed', group: 'pair', title: 'an edited address works and keeps the ssh host keys' },
] as const satisfies readonly CheckPlan[]

const plan = [...imageChecks, ...roleChecks]
export type ContractCheck = (typeof plan)[number]['name']

// Under emulation on two cores a pair that boots together needs about a minute and a half.
const bootTimeoutMs = { kvm: 120_000, tcg: 300_000 }
const ready = /seeder-first-boot: ready/

/** Console lines that a step provokes, by clone and start. */
const provoked: Readonly<Record<string, readonly AllowedLine[]>> = {
  'lb2 start 1': [{ pattern: /seeder-first-boot/i, reason: 'its values are bad on purpose' }],
  'lb2 start 2': [
    { pattern: /device-mapper: verity|I\/O error, dev dm-/, reason: 'a block of /usr is changed on purpose' },
  ],
}

/** The load balancer: a pair of clones with a VIP, three workers, and four API servers of which two are impostors. */
export const haproxyContract: Contract = { checks: plan, prove }

/** What the scenario has gathered so far, kept outside of it so that a failure half-way loses nothing. */
interface Gathered {
  boot: BootTimes
  role: RoleObservations
  rawSha256: string | null
}

async function prove(proof: Proof): Promise<ProofOutcome> {
  const checks = new Checks<ContractCheck>(plan, (result) => proof.progress.note(describeResult(result)))
  const gathered: Gathered = {
    boot: { readyMs: null, stages: {} },
    role: { balanced: [], measured: {} },
    rawSha256: null,
  }
  const stage = await buildStage(proof)
  try {
    await scenario(proof, stage, checks, gathered)
  } catch (error) {
    if (!(error instanceof Abandoned)) throw error
  } finally {
    if (checks.anyFailed()) await Promise.all(stage.clones.map((clone) => clone.saveJournal()))
    await strikeStage(stage)
  }
  await scanConsoles(checks, stage.clones)
  if (gathered.rawSha256 === null) {
    gathered.rawSha256 = await checkArtifact(checks, proof.candidate, join(proof.folder, 'disk.raw'))
  }
  return {
    checks: checks.results(),
    boot: gathered.boot,
    rawSha256: gathered.rawSha256,
    balanced: gathered.role.balanced.flatMap(({ backend, client }) =>
      backend && client ? [{ backend, client }] : [],
    ),
    measured: gathered.role.measured,
  }
}

async function scenario(
  proof: Proof,
  stage: Stage,
  checks: Checks<ContractCheck>,
  gathered: Gathered,
): Promise<void> {
  const { site } = stage
  const [first, second] = stage.clones
  const timeoutMs = bootTimeoutMs[proof.emulator.accelerator]

  proof.progress.phase('two clones boot, one of them with a bad value')
  await first.start(stage.drive(site.seats[0], nodeValues(site, 0)))
  await second.start(stage.drive(site.seats[1], withBadValue(nodeValues(site, 1))))
  const hasty = hastyApiClient(stage, site.seats[0])
  const began = await Promise.allSettled([
    awaitFirstBoot(checks, first, gathered, timeoutMs),
    checkRefusal(checks, stage, second, site.seats[1], timeoutMs),
  ])
  await hasty.stop()
  for (const one of began) if (one.status === 'rejected') throw one.reason

  proof.progress.phase('the value is corrected; the other clone is examined and balances meanwhile')
  await checks.require('shutdown', async () => `off after ${seconds(await second.shutDown(90_000))}`)
  await second.start(stage.drive(site.seats[1], nodeValues(site, 1)))
  const corrected = awaitReady(second, timeoutMs)
  // It is awaited further down; until then nobody else would notice that it failed.
  corrected.catch(() => undefined)
  await checkImage(checks, first, {
    candidate: proof.candidate,
    firewall: nftablesFor(proof.platform, 'haproxy'),
    sshKey: stage.sshKey.publicKey,
    diskBytes,
  })
  gathered.boot.stages = await bootStages(first)
  gathered.role = await checkRole(checks, stage, proof.platform, first, site.seats[0])

  proof.progress.phase('the pair: identities, VIP, failover')
  await checks.require('corrected', async () => `ready after ${seconds(await corrected)}`)
  const before = await readIdentity(first.agent)
  await checkIdentity(checks, stage, [before, await readIdentity(second.agent)])
  await checkFailover(checks, stage, gathered.role.measured)

  proof.progress.phase('the killed clone returns with another address; the image is read once more')
  await first.start(stage.drive(site.moved, nodeValues(site, 0)))
  await checkTampering(checks, second)
  await second.kill()
  gathered.rawSha256 = await checkArtifact(checks, proof.candidate, join(proof.folder, 'disk.raw'))
  await checkReaddressed(checks, stage, first, before, awaitReady(first, timeoutMs))
}

async function awaitFirstBoot(
  checks: Recorder<ContractCheck>,
  clone: Clone,
  gathered: Gathered,
  timeoutMs: number,
): Promise<void> {
  await checks.require('boots', async () => {
    gathered.boot.readyMs = await awaitReady(clone, timeoutMs)
    return `ready after ${seconds(gathered.boot.readyMs)}`
  })
  await checks.require('agent', async () => {
    await clone.agent.ready(60_000)
    return 'it answers'
  })
}

/** Waits for the first-boot marker, or for the refusal that comes in its place. Milliseconds from QEMU's start. */
async function awaitReady(clone: Clone, timeoutMs: number): Promise<number> {
  const line = await clone.console.waitFor(/seeder-first-boot: /, 'first boot', timeoutMs)
  if (ready.test(line.text)) return line.ms
  const later = await clone.console.waitFor(ready, 'first boot to be ready', 30_000).catch(() => undefined)
  expect(later !== undefined, `first boot says: ${line.text.trim()}`)
  return later.ms
}

async function scanConsoles(checks: Recorder<ContractCheck>, clones: readonly Clone[]): Promise<void> {
  const consoles = clones.flatMap((clone) =>
    clone.boots.map(({ console }, at) => {
      const name = `${clone.name} start ${at + 1}`
      const allowed = [...harmlessLines, ...(provoked[name] ?? [])]
      return { name, failures: consoleFailures(console.lines, allowed), lines: console.lines.length }
    }),
  )
  await checkConsoles(checks, consoles)
}

function describeResult({ status, title, detail }: CheckResult): string {
  return `${status === 'passed' ? 'ok' : status}: ${title} (${detail})`
}
