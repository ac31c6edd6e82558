import { type RequestOptions, request } from 'node:https'
import { z } from 'zod'
import { parseJson } from '../../files/json.ts'
import type { TestKeyPair } from '../certificates.ts'
import { API_NAME } from '../haproxy/configuration.ts'
import { API_PORT } from '../kubernetes/configuration.ts'
import { readResponse } from '../probe.ts'

/** Where a client of the API is, and what it knows. */
export interface ApiAccess {
  /** Its own address. */
  readonly from: string
  /** The VIP of the API. */
  readonly to: string
  /** The cluster's authority (PEM). */
  readonly ca: string
  readonly pair: TestKeyPair
}

// An emulated API server may need seconds for one request.
const TIMEOUT_MS = 60_000

/** A client of the cluster's API, by the load balancer's VIP. */
export class ApiClient {
  private readonly access: ApiAccess

  constructor(access: ApiAccess) {
    this.access = access
  }

  /**
   * Reads an object.
   * @param path with the slash that it begins with
   * @throws SeederError when there is no response with status 200 and an object of this form
   */
  async get<T>(path: string, schema: z.ZodType<T>): Promise<T> {
    return parseJson(await this.send('GET', path), schema)
  }

  /** Creates an object, given as the API's JSON. */
  async create(path: string, object: object): Promise<void> {
    await this.send('POST', path, JSON.stringify(object))
  }

  private send(method: string, path: string, body = ''): Promise<string> {
    const { from, to, ca, pair } = this.access
    const options: RequestOptions = {
      method,
      host: to,
      port: API_PORT,
      path,
      localAddress: from,
      agent: false,
      servername: API_NAME,
      ca,
      ...pair,
      headers: {
        host: API_NAME,
        'content-type': 'application/json',
        'content-length': Buffer.byteLength(body),
      },
    }
    const sent = request(options)
    sent.end(body)
    return readResponse(sent, `${method} ${path} of ${to} from ${from}`, TIMEOUT_MS)
  }
}

const condition = z.object({ type: z.string(), status: z.string(), message: z.string().default('') })

/** A node as the API describes it, as far as the test needs it. */
export const nodeSchema = z.object({
  metadata: z.object({ name: z.string(), labels: z.record(z.string(), z.string()).default({}) }),
  spec: z.object({
    podCIDR: z.string().optional(),
    taints: z.array(z.object({ key: z.string(), effect: z.string() })).default([]),
  }),
  status: z.object({
    conditions: z.array(condition).default([]),
    addresses: z.array(z.object({ type: z.string(), address: z.string() })).default([]),
    nodeInfo: z.object({ kubeletVersion: z.string() }),
  }),
})
export type ClusterNode = z.output<typeof nodeSchema>
export const nodeListSchema = z.object({ items: z.array(nodeSchema) })

/** A pod as the API describes it, as far as the test needs it. */
export const podSchema = z.object({
  metadata: z.object({ name: z.string() }),
  spec: z.object({ nodeName: z.string().optional() }),
  status: z.object({
    phase: z.string().default(''),
    podIP: z.string().optional(),
    conditions: z.array(condition).default([]),
    containerStatuses: z
      .array(
        z.object({
          restartCount: z.int().default(0),
          state: z.object({
            waiting: z.object({ reason: z.string().default(''), message: z.string().default('') }).optional(),
          }),
        }),
      )
      .default([]),
  }),
})
export type ClusterPod = z.output<typeof podSchema>
export const podListSchema = z.object({ items: z.array(podSchema) })

/** Whether a condition of a node or pod is true. */
export function isReady({
  status,
}: {
  status: { conditions: readonly z.output<typeof condition>[] }
}): boolean {
  return status.conditions.some(({ type, status }) => type === 'Ready' && status === 'True')
}

/** A service as the API describes it, as far as the test needs it. */
export const serviceSchema = z.object({ spec: z.object({ clusterIP: z.ipv4() }) })
