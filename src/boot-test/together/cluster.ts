import { setTimeout as sleep } from 'node:timers/promises'
import { parse } from 'yaml'
import { z } from 'zod'
import { describeError } from '../../report/error.ts'
import { expect } from '../checks.ts'
import { probeIn } from '../site.ts'
import type { PlacedClone } from '../test-bed.ts'
import {
  ApiClient,
  type ClusterNode,
  type ClusterPod,
  isReady,
  nodeListSchema,
  podListSchema,
} from './api-client.ts'
import { apiVip } from './configuration.ts'
import type { TogetherTestBed } from './test-bed.ts'

const kubeconfigSchema = z.object({
  users: z
    .array(
      z.object({ user: z.object({ 'client-certificate-data': z.base64(), 'client-key-data': z.base64() }) }),
    )
    .min(1),
})

/** Connects to the API by its VIP, from the operator's zone, with the administrator's certificate that kubeadm made. */
export async function connectApi(bed: TogetherTestBed, controlPlane: PlacedClone): Promise<ApiClient> {
  const text = await controlPlane.clone.agent.output(['/bin/cat', '/etc/kubernetes/admin.conf'])
  const [first] = kubeconfigSchema.parse(parse(text)).users
  const decode = (data = '') => Buffer.from(data, 'base64').toString()
  return new ApiClient({
    from: probeIn(bed.site, bed.site.operatorZone),
    to: apiVip(bed.platform).address,
    ca: bed.clusterCa,
    pair: {
      cert: decode(first?.user['client-certificate-data']),
      key: decode(first?.user['client-key-data']),
    },
  })
}

/** Repeats an attempt until it succeeds. @throws its last error after the time */
export async function retry<T>(limitMs: number, attempt: () => Promise<T>): Promise<T> {
  for (const deadline = performance.now() + limitMs; ; await sleep(1000)) {
    try {
      return await attempt()
    } catch (error) {
      expect(performance.now() < deadline, describeError(error))
    }
  }
}

/** Waits until these nodes, and no others, are members with a range for their pods. */
export async function awaitMembers(
  api: ApiClient,
  names: readonly string[],
  limitMs: number,
): Promise<ClusterNode[]> {
  return retry(limitMs, async () => {
    const { items } = await api.get('/api/v1/nodes', nodeListSchema)
    const found = items.map(({ metadata }) => metadata.name).sort()
    expect(
      found.join(' ') === [...names].sort().join(' '),
      `the cluster has the nodes ${found.join(', ') || 'none'}`,
    )
    const without = items.filter(({ spec }) => spec.podCIDR === undefined)
    expect(
      without.length === 0,
      `without a range for pods: ${without.map(({ metadata }) => metadata.name).join(', ')}`,
    )
    return items
  })
}

/** Waits until every node is ready. */
export async function awaitReadyNodes(api: ApiClient, limitMs: number): Promise<ClusterNode[]> {
  return retry(limitMs, async () => {
    const { items } = await api.get('/api/v1/nodes', nodeListSchema)
    const waiting = items.filter((node) => !isReady(node))
    const reasons = waiting.map(({ metadata, status }) => {
      const found = status.conditions.find(({ type }) => type === 'Ready')
      return `${metadata.name}: ${found?.message || 'it says nothing'}`
    })
    expect(waiting.length === 0, `not ready: ${reasons.join('; ')}`)
    return items
  })
}

/** Waits until every pod of a namespace is ready. */
export async function awaitReadyPods(
  api: ApiClient,
  namespace: string,
  limitMs: number,
): Promise<ClusterPod[]> {
  return retry(limitMs, async () => {
    const { items } = await api.get(`/api/v1/namespaces/${namespace}/pods`, podListSchema)
    const waiting = items.filter((pod) => !isReady(pod))
    expect(items.length > 0 && waiting.length === 0, `not ready: ${waiting.map(describePod).join('; ')}`)
    return items
  })
}

function describePod({ metadata, status }: ClusterPod): string {
  const reasons = status.containerStatuses.flatMap(({ state }) =>
    state.waiting ? [`${state.waiting.reason} ${state.waiting.message}`.trim()] : [],
  )
  return `${metadata.name} (${[status.phase, ...reasons].join(', ')})`
}
