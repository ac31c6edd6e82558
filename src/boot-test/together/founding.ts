import type { Accelerator } from '../../vm/emulator.ts'
import { expect } from '../checks.ts'
import { awaitNode, seconds } from '../first-boot.ts'
import { awaitKubeadm, lastFindings, readJournal } from '../kubernetes/kubeadm-checks.ts'
import type { PlacedClone } from '../test-bed.ts'
import type { TogetherTestBed } from './test-bed.ts'

/** How long the test waits for a step of the cluster, in ms. */
export type Patience = number

// kubeadm itself waits four minutes for the API server. An emulated one is slower in the measure in which its node boots
// slower than with KVM, where that takes some 15 s.
const LEAST_MS = 240_000
const BOOT_MS = 15_000

/** Chooses the limits by the measured time of a boot, in ms. */
export function patienceFor(bootMs: number): Patience {
  return Math.round(LEAST_MS * Math.max(1, bootMs / BOOT_MS))
}

/** Waits until kubeadm has founded the cluster. */
export async function checkFounded(
  { controlPlane, emulator }: TogetherTestBed,
  patience: Patience,
): Promise<string> {
  const text = await awaitDone(controlPlane, 'init', emulator.accelerator, patience)
  return `${text}; ${await preflightWarnings(controlPlane)}`
}

// kubeadm gives a request ten seconds and the API a minute. An emulated API server may need longer, so that an attempt
// fails; the next one continues.
async function awaitDone(
  node: PlacedClone,
  action: 'init' | 'join',
  accelerator: Accelerator,
  limitMs: Patience,
): Promise<string> {
  const emulated = accelerator === 'tcg'
  const { state, text } = await awaitKubeadm(
    node,
    action,
    limitMs,
    ({ state }) => state === 'done' || (state === 'retrying' && !emulated),
  )
  expect(state === 'done', text)
  return text
}

/** Starts the worker, which joins. */
export async function checkJoined(
  { worker, bootTimeoutMs, emulator }: TogetherTestBed,
  patience: Patience,
): Promise<string> {
  await worker.clone.start(worker.drive)
  const bootMs = await awaitNode(worker.clone, bootTimeoutMs)
  const text = await awaitDone(worker, 'join', emulator.accelerator, patience)
  return `ready after ${seconds(bootMs)}; ${text}; ${await preflightWarnings(worker)}`
}

async function preflightWarnings({ clone }: PlacedClone): Promise<string> {
  const found = lastFindings(await readJournal(clone.agent))
  const warnings = found.filter(({ level }) => level === 'WARNING')
  if (warnings.length === 0) return 'no warning of its preflight'
  return warnings.map(({ name, text }) => `${name}: ${text}`).join('; ')
}
