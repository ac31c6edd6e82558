import { formatNodeEnv, type NodeValues } from '../guest/node-env.ts'
import type { GuestStatus } from '../guest/status.ts'
import type { VendorFile } from '../guest/vendor-data.ts'
import { describeError, SeederError } from '../report/error.ts'
import type { Accelerator } from '../vm/accelerator.ts'
import type { Clone } from '../vm/clone.ts'
import type { AllowedLine } from '../vm/console-failures.ts'
import { expect, type Recorder } from './checks.ts'
import type { Observations } from './contract.ts'
import { guestStatus } from './guest-facts.ts'
import type { ImageCheck } from './image-checks.ts'
import { greeting } from './probe.ts'
import { addressFrom, type MachineSpec, probeIn, type Site } from './site.ts'

// Under emulation on two cores a pair that boots together needs about a minute, and three need two; a runner that does
// other things at the same time makes that a multiple.
const bootTimes = { kvm: 180_000, tcg: 600_000 }
const ready = /seeder-first-boot: ready/
// Roles may say what they do before they are ready; systemd says when they never will be.
const settled = /seeder-first-boot: ready|Failed to start .*seeder-first-boot/

/** How long a clone may take to boot, in milliseconds. */
export function bootTimeoutMs(accelerator: Accelerator): number {
  return bootTimes[accelerator]
}

/**
 * Waits for the first-boot marker, or for the refusal that comes in its place. Milliseconds from QEMU's start.
 * @throws SeederError with what first boot says instead
 */
export async function awaitReady(clone: Clone, timeoutMs: number): Promise<number> {
  const line = await clone.console.waitFor(/seeder-first-boot: /, 'first boot', timeoutMs)
  if (ready.test(line.text)) return line.ms
  const later = await clone.console
    .waitFor(settled, 'first boot to be ready', Math.max(timeoutMs - line.ms, 30_000))
    .catch(() => undefined)
  expect(later !== undefined && ready.test(later.text), `first boot says: ${line.text.trim()}`)
  return later.ms
}

/** The first clone of an image comes up, and its agent answers. Nothing can be shown without. */
export async function awaitFirstBoot(
  checks: Recorder<ImageCheck>,
  clone: Clone,
  seen: Observations,
  timeoutMs: number,
): Promise<void> {
  await checks.require('boots', async () => {
    seen.boot.readyMs = await awaitReady(clone, timeoutMs)
    return `ready after ${seconds(seen.boot.readyMs)}`
  })
  await checks.require('agent', async () => {
    await clone.agent.ready(60_000)
    return 'it answers'
  })
}

/** What the console of a clone may say that is given bad values. */
export const refusedLine: AllowedLine = {
  pattern: /seeder-first-boot/i,
  reason: 'its values are bad on purpose',
}

/**
 * A clone was given a value its role cannot use: it has to say so, on the console and to the agent.
 * @param named what has to be in the reason, such as the key and the value
 * @returns the console's line
 */
export async function awaitRefusal(
  clone: Clone,
  said: RegExp,
  named: readonly string[],
  timeoutMs: number,
): Promise<string> {
  const line = await clone.console.waitFor(/seeder-first-boot: /, 'the refusal', timeoutMs)
  expect(said.test(line.text), `the console says: ${line.text.trim()}`)
  await clone.agent.ready(timeoutMs)
  expectRefusal(await settledStatus(clone), named)
  return line.text.trim()
}

/**
 * Gives a running clone other values, as an operator does who tries them before they go on the drive: writes files
 * and runs first boot again. What it has come to.
 */
export async function tryValues(
  clone: Clone,
  values: NodeValues,
  files: readonly VendorFile[],
): Promise<GuestStatus> {
  const { agent } = clone
  const node = { path: '/etc/seeder/node.env', permissions: '0640', content: formatNodeEnv(values) }
  for (const { path, permissions, content } of [node, ...files]) {
    const script = 'umask 077; cat >"$0"; chmod "$1" "$0"'
    await agent.output(['/bin/bash', '-euc', script, path, permissions], content)
  }
  // Without the first, systemd has had enough after five starts in ten seconds.
  await agent.exec(['/bin/systemctl', 'reset-failed', 'seeder-first-boot.service'])
  await agent.exec(['/bin/systemctl', 'restart', 'seeder-first-boot.service'], { timeoutMs: 300_000 })
  return guestStatus(agent)
}

/** A value that must not be accepted, and what the refusal has to name. */
export interface BadValue {
  /** For people: what is wrong. */
  readonly what: string
  /** Over good ones; an empty one is left out. */
  readonly values: NodeValues
  readonly files?: readonly VendorFile[]
  readonly named: readonly string[]
}

/**
 * Tries one bad value after the other on a clone that has no role yet. How many there were.
 * @throws SeederError with the first that is accepted, or that the refusal does not name
 */
export async function refuseAll(
  clone: Clone,
  good: NodeValues,
  goodFiles: readonly VendorFile[],
  bad: readonly BadValue[],
): Promise<string> {
  for (const { what, values, files = [], named } of bad) {
    const merged = Object.fromEntries(
      Object.entries({ ...good, ...values }).filter(([, value]) => value !== ''),
    )
    const replaced = goodFiles.map((file) => files.find(({ path }) => path === file.path) ?? file)
    const status = await tryValues(clone, merged, replaced)
    try {
      expectRefusal(status, named)
    } catch (cause) {
      throw new SeederError(`${what}: ${describeError(cause)}`, { cause })
    }
  }
  return `${bad.length} refused and named: ${bad.map(({ what }) => what).join(', ')}`
}

/** Fails unless a status is a refusal that names all of these. */
export function expectRefusal({ state, reason }: GuestStatus, named: readonly string[]): void {
  expect(state === 'failed', `the agent is told "${state}" (${reason})`)
  const missing = named.filter((part) => !reason.includes(part))
  expect(missing.length === 0, `the agent is told "${reason}", which does not name ${missing.join(' and ')}`)
}

/** A clone whose role was refused is reached by ssh, and its service does not run. */
export async function checkReachable(
  clone: Clone,
  site: Site,
  seat: MachineSpec,
  service: { readonly unit: string; readonly name: string },
): Promise<string> {
  const { operatorZone } = site
  const route = { from: probeIn(site, operatorZone), to: addressFrom(seat, operatorZone), port: 22 }
  const words = await greeting({ ...route, timeoutMs: 20_000 })
  expect(words.startsWith('SSH-2.0-'), `port 22 says "${words}"`)
  const serving = (await clone.agent.exec(['/bin/systemctl', 'is-active', service.unit])).stdout.trim()
  expect(serving !== 'active', `${service.name} serves although its values were refused`)
  return `ssh answers (${words}), ${service.name} is ${serving}`
}

async function settledStatus(clone: Clone): Promise<GuestStatus> {
  // The console line is printed before the unit has ended; --wait returns once every job has.
  await clone.agent.exec(['/bin/systemctl', 'is-system-running', '--wait'], { timeoutMs: 180_000 })
  return guestStatus(clone.agent)
}

/** Milliseconds as seconds with one decimal. */
export function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`
}
