import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'
import { parseJson } from '../../files/json.ts'
import { describeError } from '../../report/error.ts'
import { get, type Route } from '../probe.ts'

const answer = z.object({ backend: z.string(), client: z.string() })

/** One request of a client and what came of it. Times in milliseconds. */
export interface Sample {
  /** On the clock of `performance.now()`, when the answer was there. */
  readonly at: number
  readonly ms: number
  /** Who answered; undefined when nobody did. */
  readonly backend: string | undefined
  /** The address the backend saw: the load balancer's. */
  readonly client: string | undefined
  readonly error: string | undefined
}

/** One request to a NodePort through the load balancer. */
export async function ask(route: Route): Promise<Sample> {
  const began = performance.now()
  const outcome = await get(route, '/').then(
    (body) => ({ ...parseJson(body, answer), error: undefined }),
    (error: unknown) => ({ backend: undefined, client: undefined, error: describeError(error) }),
  )
  const at = performance.now()
  return { at, ms: at - began, ...outcome }
}

/** `count` requests one after the other. */
export async function askTimes(route: Route, count: number): Promise<Sample[]> {
  const samples: Sample[] = []
  for (let at = 0; at < count; at++) samples.push(await ask(route))
  return samples
}

/** Requests every 100 ms until `enough` of the samples so far, or until the time is up. */
export async function askUntil(
  route: Route,
  enough: (samples: readonly Sample[]) => boolean,
  timeoutMs: number,
): Promise<Sample[]> {
  const samples: Sample[] = []
  const deadline = performance.now() + timeoutMs
  while (performance.now() < deadline) {
    samples.push(await ask(route))
    if (enough(samples)) break
    await sleep(100)
  }
  return samples
}

/** How often each backend answered, for people: `w1 ×4, w2 ×4`. */
export function tally(samples: readonly Pick<Sample, 'backend' | 'error'>[]): string {
  const counts = new Map<string, number>()
  for (const { backend, error } of samples) {
    const who = backend ?? error ?? 'nobody'
    counts.set(who, (counts.get(who) ?? 0) + 1)
  }
  return [...counts]
    .sort()
    .map(([who, count]) => `${who} ×${count}`)
    .join(', ')
}

/** Whether every name answered equally often, and nothing failed. */
export function isBalanced(samples: readonly Pick<Sample, 'backend'>[], names: readonly string[]): boolean {
  return names.every(
    (name) => samples.filter(({ backend }) => backend === name).length === samples.length / names.length,
  )
}
