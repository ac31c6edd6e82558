import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'
import { parseJson } from '../../files/json.ts'
import { describeError } from '../../report/error.ts'
import { get, type Route } from '../probe.ts'

const responseSchema = z.object({
  backend: z.string(),
  /** The client's address as the worker sees it: the load balancer's. */
  client: z.string(),
})
/** What a worker answers on its NodePort. */
export type WorkerResponse = z.output<typeof responseSchema>

/** The result of one request. */
export interface Sample {
  /** Of the response or the error, on the clock of `performance.now()`. */
  readonly time: number
  /** Undefined after an error. */
  readonly backend: string | undefined
  readonly client: string | undefined
  readonly error: string | undefined
}

/** One request to a NodePort through the load balancer. */
export async function sendRequest(route: Route): Promise<Sample> {
  const outcome = await get(route, '/').then(
    (body) => ({ ...parseJson(body, responseSchema), error: undefined }),
    (error: unknown) => ({ backend: undefined, client: undefined, error: describeError(error) }),
  )
  return { time: performance.now(), ...outcome }
}

/** `count` requests one after the other. */
export async function sendRequests(route: Route, count: number): Promise<Sample[]> {
  const samples: Sample[] = []
  for (let sent = 0; sent < count; sent++) samples.push(await sendRequest(route))
  return samples
}

/** Requests every 100 ms until the samples are `enough`, or until the time is over. */
export async function sendRequestsUntil(
  route: Route,
  enough: (samples: readonly Sample[]) => boolean,
  timeoutMs: number,
): Promise<Sample[]> {
  const samples: Sample[] = []
  const deadline = performance.now() + timeoutMs
  while (performance.now() < deadline) {
    samples.push(await sendRequest(route))
    if (enough(samples)) break
    await sleep(100)
  }
  return samples
}

/** The number of responses of each backend, and of each error, for people: `w1 ×4, w2 ×4`. */
export function tally(samples: readonly Pick<Sample, 'backend' | 'error'>[]): string {
  const counts = new Map<string, number>()
  for (const { backend, error } of samples) {
    const name = backend ?? error ?? 'no backend'
    counts.set(name, (counts.get(name) ?? 0) + 1)
  }
  return [...counts]
    .sort()
    .map(([name, count]) => `${name} ×${count}`)
    .join(', ')
}

/** Whether every backend answered equally often, and nothing failed. */
export function isBalanced(samples: readonly Pick<Sample, 'backend'>[], names: readonly string[]): boolean {
  return names.every(
    (name) => samples.filter(({ backend }) => backend === name).length === samples.length / names.length,
  )
}
