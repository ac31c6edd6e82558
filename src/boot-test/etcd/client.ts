import { Agent, request } from 'node:https'
import { z } from 'zod'
import { jsonOf } from '../../files/json.ts'
import type { TestKeyPair } from '../certificates.ts'
import { readResponse } from '../probe.ts'

/** The ports for clients and for other members. */
export const CLIENT_PORT = 2379
export const PEER_PORT = 2380

/** How a client connects. */
export interface Credentials {
  /** Its own address. */
  readonly from: string
  /** The authority that it trusts (PEM). */
  readonly ca: string
  /** Undefined for a client without a certificate. */
  readonly pair: TestKeyPair | undefined
}

/** A member as the cluster lists it. */
export interface EtcdMember {
  /** Decimal, as in the API. */
  readonly id: string
  /** Empty until the member was started. */
  readonly name: string
  readonly learner: boolean
}

/** The status of a member. */
export interface MemberStatus {
  readonly id: string
  readonly leader: string
  readonly version: string
  readonly revision: number
  readonly learner: boolean
}

const header = z.object({ member_id: z.string(), revision: z.string().default('0') })
const putResponse = z.object({ header })
const rangeResponse = z.object({
  header,
  kvs: z.array(z.object({ key: z.base64(), value: z.base64() })).default([]),
})
const statusResponse = z.object({
  header,
  version: z.string(),
  leader: z.string().default('0'),
  isLearner: z.boolean().default(false),
})
const membersResponse = z.object({
  members: z.array(
    z.object({ ID: z.string(), name: z.string().default(''), isLearner: z.boolean().default(false) }),
  ),
})

// Keys per page; a value of the test has some ten bytes.
const PAGE_SIZE = 2000

/**
 * A client of a cluster's JSON API, which every member serves beside gRPC on the same port
 * (https://etcd.io/docs/latest/dev-guide/api_grpc_gateway).
 */
export class EtcdClient {
  private readonly credentials: Credentials
  private readonly agent = new Agent({ keepAlive: true })

  constructor(credentials: Credentials) {
    this.credentials = credentials
  }

  /**
   * Writes a value.
   * @returns its revision
   * @throws SeederError when the write was not acknowledged within the time; it may have happened nevertheless
   */
  async put(member: string, key: string, value: string, timeoutMs: number): Promise<number> {
    const body = { key: encode(key), value: encode(value) }
    return Number(putResponse.parse(await this.call(member, '/v3/kv/put', body, timeoutMs)).header.revision)
  }

  /** Every key with a prefix and its value: a linearizable read. */
  async range(member: string, prefix: string, timeoutMs: number): Promise<Map<string, string>> {
    const found = new Map<string, string>()
    const rangeEnd = encode(
      prefix.slice(0, -1) + String.fromCharCode(prefix.charCodeAt(prefix.length - 1) + 1),
    )
    for (let from = prefix; ; ) {
      const body = { key: encode(from), range_end: rangeEnd, limit: String(PAGE_SIZE) }
      const { kvs } = rangeResponse.parse(await this.call(member, '/v3/kv/range', body, timeoutMs))
      for (const { key, value } of kvs) found.set(decode(key), decode(value))
      if (kvs.length < PAGE_SIZE) return found
      from = `${decode(kvs.at(-1)?.key ?? '')}\0`
    }
  }

  async status(member: string, timeoutMs: number): Promise<MemberStatus> {
    const response = statusResponse.parse(await this.call(member, '/v3/maintenance/status', {}, timeoutMs))
    return {
      id: response.header.member_id,
      leader: response.leader,
      version: response.version,
      revision: Number(response.header.revision),
      learner: response.isLearner,
    }
  }

  async members(member: string, timeoutMs: number): Promise<EtcdMember[]> {
    const response = membersResponse.parse(await this.call(member, '/v3/cluster/member/list', {}, timeoutMs))
    return response.members.map(({ ID, name, isLearner }) => ({ id: ID, name, learner: isLearner }))
  }

  /** Closes the connections that are kept open. */
  close(): void {
    this.agent.destroy()
  }

  private async call(member: string, path: string, body: object, timeoutMs: number): Promise<unknown> {
    const { from, ca, pair } = this.credentials
    const call = request({
      host: member,
      port: CLIENT_PORT,
      path,
      method: 'POST',
      agent: this.agent,
      localAddress: from,
      ca,
      cert: pair?.cert,
      key: pair?.key,
      headers: { 'content-type': 'application/json' },
    })
    call.end(JSON.stringify(body))
    return jsonOf(await readResponse(call, `${path} of etcd on ${member}`, timeoutMs))
  }
}

function encode(value: string): string {
  return Buffer.from(value).toString('base64')
}

function decode(value: string): string {
  return Buffer.from(value, 'base64').toString()
}
