import { parseJson } from '../files/json.ts'
import type { NodeValues } from '../guest/node-env.ts'
import { type GuestStatus, statusSchema } from '../guest/status.ts'
import type { VendorFile } from '../guest/vendor-data.ts'
import { describeError, SeederError } from '../report/error.ts'
import type { GuestAgent } from '../vm/agent.ts'
import type { Clone } from '../vm/clone.ts'
import type { AllowedLine } from '../vm/console-failures.ts'
import { expect, type Recorder } from './checks.ts'
import { readGreeting } from './probe.ts'
import { type PlatformSite, withReturnRoutes } from './return-routes.ts'
import { addressFrom, probeIn } from './site.ts'
import { nodeEnvFile, type PlacedClone } from './test-bed.ts'

const READY = /seeder-first-boot: ready/
// A role may print progress before it is ready; systemd reports when first boot has failed.
const SETTLED = /seeder-first-boot: ready|Failed to start .*seeder-first-boot/

/** Reads the state of a guest's first boot. */
export async function readStatus(agent: GuestAgent): Promise<GuestStatus> {
  return parseJson(await agent.shell('/usr/lib/seeder/status || true'), statusSchema)
}

/**
 * Waits for the marker that first boot prints at its end.
 * @returns milliseconds since the start of QEMU
 * @throws SeederError with the message of a first boot that fails
 */
export async function awaitReady(clone: Clone, timeoutMs: number): Promise<number> {
  const line = await clone.console.waitFor(/seeder-first-boot: /, 'first boot', timeoutMs)
  if (READY.test(line.text)) return line.ms
  const later = await clone.console
    .waitFor(SETTLED, 'first boot to be ready', Math.max(timeoutMs - line.ms, 30_000))
    .catch(() => undefined)
  expect(later !== undefined && READY.test(later.text), `first boot says: ${line.text.trim()}`)
  return later.ms
}

/** As `awaitReady`, and waits until the agent answers. */
export async function awaitNode(clone: Clone, timeoutMs: number): Promise<number> {
  const ms = await awaitReady(clone, timeoutMs)
  await clone.agent.ready(60_000)
  return ms
}

/** Waits until the first clone of an image is ready and its agent answers, which all other checks need. */
export async function awaitFirstBoot(
  checks: Recorder<'boots' | 'agent'>,
  clone: Clone,
  timeoutMs: number,
): Promise<void> {
  await checks.require('boots', async () => {
    const readyMs = await awaitReady(clone, timeoutMs)
    checks.observed.boot.readyMs = readyMs
    return `ready after ${seconds(readyMs)}`
  })
  await checks.require('agent', async () => {
    await clone.agent.ready(60_000)
    return 'it answers'
  })
}

/** What the console of a clone with bad values may show. */
export const refusedLine: AllowedLine = {
  pattern: /seeder-first-boot/i,
  reason: 'its values are bad on purpose',
}

/** What a clone with bad values has to report. */
export interface ExpectedRefusal {
  /** On the console. */
  readonly pattern: RegExp
  /** Parts of the reason in the status, such as the key and the value. */
  readonly named: readonly string[]
}

/**
 * Waits until a clone refuses its values, on the console and in its status.
 * @returns the console's line
 */
export async function awaitRefusal(
  clone: Clone,
  { pattern, named }: ExpectedRefusal,
  timeoutMs: number,
): Promise<string> {
  const line = await clone.console.waitFor(/seeder-first-boot: /, 'the refusal', timeoutMs)
  expect(pattern.test(line.text), `the console says: ${line.text.trim()}`)
  await clone.agent.ready(timeoutMs)
  // The line is printed before the unit has ended; --wait returns once every job has.
  await clone.agent.exec(['/bin/systemctl', 'is-system-running', '--wait'], { timeoutMs: 180_000 })
  expectRefusal(await readStatus(clone.agent), named)
  return line.text.trim()
}

/** Writes other values and files on a running clone and runs first boot again. */
export async function tryValues(
  { clone, machine }: PlacedClone,
  values: NodeValues,
  files: readonly VendorFile[],
): Promise<GuestStatus> {
  const { agent } = clone
  for (const { path, permissions, content } of [nodeEnvFile(machine, values), ...files]) {
    const script = 'umask 077; cat >"$0"; chmod "$1" "$0"'
    await agent.output(['/bin/bash', '-euc', script, path, permissions], content)
  }
  // Without reset-failed, systemd's start limit (5 in 10 s) applies.
  await agent.exec(['/bin/systemctl', 'reset-failed', 'seeder-first-boot.service'])
  return repeatFirstBoot(agent)
}

/** Runs first boot again on a running clone. */
export async function repeatFirstBoot(agent: GuestAgent): Promise<GuestStatus> {
  await agent.exec(['/bin/systemctl', 'restart', 'seeder-first-boot.service'], { timeoutMs: 300_000 })
  return readStatus(agent)
}

/** An invalid address. */
export const BAD_ADDRESS = '10.0.0.700'

/** Values or files that must be refused, and what the reason has to name. */
export interface BadValue {
  /** What is wrong, for people. */
  readonly what: string
  /** They replace good ones; an empty value is left out. */
  readonly values: NodeValues
  readonly files?: readonly VendorFile[]
  readonly named: readonly string[]
}

/**
 * Tries bad values, one set after the other, on a clone that has no role yet.
 * @throws SeederError with the first that is accepted, or that the reason does not name
 */
export async function checkRefusals(
  node: PlacedClone,
  good: NodeValues,
  goodFiles: readonly VendorFile[],
  bad: readonly BadValue[],
): Promise<string> {
  for (const { what, values, files = [], named } of bad) {
    const merged = Object.fromEntries(
      Object.entries({ ...good, ...values }).filter(([, value]) => value !== ''),
    )
    const replaced = goodFiles.map((file) => files.find(({ path }) => path === file.path) ?? file)
    const status = await tryValues(node, merged, replaced)
    try {
      expectRefusal(status, named)
    } catch (cause) {
      throw new SeederError(`${what}: ${describeError(cause)}`, { cause })
    }
  }
  return `${bad.length} refused and named: ${bad.map(({ what }) => what).join(', ')}`
}

function expectRefusal({ state, reason }: GuestStatus, named: readonly string[]): void {
  expect(state === 'failed', `the status is "${state}" (${reason})`)
  const missing = named.filter((part) => !reason.includes(part))
  expect(missing.length === 0, `the status is "${reason}", which does not name ${missing.join(' and ')}`)
}

/** Fails unless first boot, run again, left the clone ready. */
export function expectReady({ state, reason }: GuestStatus): void {
  expect(state === 'ready', `run again, first boot reports ${state}: ${reason}`)
}

/** A clone that refused its values answers to ssh, and its service does not run. */
export async function checkReachable(
  bed: PlatformSite,
  node: PlacedClone,
  service: { readonly unit: string; readonly name: string },
): Promise<string> {
  const { clone, machine } = node
  const { operatorZone } = bed.site
  const route = { from: probeIn(bed.site, operatorZone), to: addressFrom(machine, operatorZone), port: 22 }
  const greeting = await withReturnRoutes(bed, node, () => readGreeting({ ...route, timeoutMs: 20_000 }))
  expect(greeting.startsWith('SSH-2.0-'), `port 22 says "${greeting}"`)
  const state = await unitState(clone.agent, service.unit)
  expect(state !== 'active', `${service.name} serves although its values were refused`)
  return `ssh answers (${greeting}), ${service.name} is ${state}`
}

/** What `systemctl is-active` prints for a unit. */
export async function unitState(agent: GuestAgent, unit: string): Promise<string> {
  return (await agent.exec(['/bin/systemctl', 'is-active', unit])).stdout.trim()
}

/** Milliseconds as seconds with one decimal. */
export function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`
}
