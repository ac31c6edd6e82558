import { Agent, request } from 'node:https'
import { z } from 'zod'
import { jsonOf } from '../../files/json.ts'
import { SeederError } from '../../report/error.ts'
import type { TestKeyPair } from '../certificates.ts'

/** The port members answer their clients on, and the one they answer each other on. */
export const clientPort = 2379
export const peerPort = 2380

/** Who asks: from which address, whom it trusts, and what it shows; undefined for no certificate. */
export interface Credentials {
  readonly from: string
  readonly ca: string
  readonly pair: TestKeyPair | undefined
}

/** A member as the cluster lists it. */
export interface EtcdMember {
  /** Decimal, as the API gives it. */
  readonly id: string
  /** Empty until it was started. */
  readonly name: string
  readonly learner: boolean
}

/** What a member says about itself. */
export interface MemberStatus {
  readonly id: string
  readonly leader: string
  readonly version: string
  readonly revision: number
  readonly learner: boolean
}

const header = z.object({ member_id: z.string(), revision: z.string().default('0') })
const putAnswer = z.object({ header })
const rangeAnswer = z.object({
  header,
  kvs: z.array(z.object({ key: z.base64(), value: z.base64() })).default([]),
})
const statusAnswer = z.object({
  header,
  version: z.string(),
  leader: z.string().default('0'),
  isLearner: z.boolean().default(false),
})
const membersAnswer = z.object({
  members: z.array(
    z.object({ ID: z.string(), name: z.string().default(''), isLearner: z.boolean().default(false) }),
  ),
})

// Keys of a page; a value of a proof is some ten bytes long.
const pageSize = 2000

/**
 * A client of a cluster, by the JSON API that every member has beside gRPC on the same port
 * (https://etcd.io/docs/latest/dev-guide/api_grpc_gateway).
 */
export class EtcdClient {
  private readonly credentials: Credentials
  private readonly agent = new Agent({ keepAlive: true })

  constructor(credentials: Credentials) {
    this.credentials = credentials
  }

  /**
   * Writes a value, which is safe once this returns. The revision it has.
   * @throws SeederError when it was not acknowledged within the time; it may have been written nevertheless
   */
  async put(member: string, key: string, value: string, timeoutMs: number): Promise<number> {
    const body = { key: base64(key), value: base64(value) }
    return Number(putAnswer.parse(await this.call(member, '/v3/kv/put', body, timeoutMs)).header.revision)
  }

  /** Every key with a prefix and its value, as the whole cluster agrees on it at the moment. */
  async range(member: string, prefix: string, timeoutMs: number): Promise<Map<string, string>> {
    const found = new Map<string, string>()
    const rangeEnd = base64(
      prefix.slice(0, -1) + String.fromCharCode(prefix.charCodeAt(prefix.length - 1) + 1),
    )
    for (let from = prefix; ; ) {
      const body = { key: base64(from), range_end: rangeEnd, limit: String(pageSize) }
      const { kvs } = rangeAnswer.parse(await this.call(member, '/v3/kv/range', body, timeoutMs))
      for (const { key, value } of kvs) found.set(text(key), text(value))
      if (kvs.length < pageSize) return found
      from = `${text(kvs.at(-1)?.key ?? '')}\0`
    }
  }

  async status(member: string, timeoutMs: number): Promise<MemberStatus> {
    const answer = statusAnswer.parse(await this.call(member, '/v3/maintenance/status', {}, timeoutMs))
    return {
      id: answer.header.member_id,
      leader: answer.leader,
      version: answer.version,
      revision: Number(answer.header.revision),
      learner: answer.isLearner,
    }
  }

  async members(member: string, timeoutMs: number): Promise<EtcdMember[]> {
    const answer = membersAnswer.parse(await this.call(member, '/v3/cluster/member/list', {}, timeoutMs))
    return answer.members.map(({ ID, name, isLearner }) => ({ id: ID, name, learner: isLearner }))
  }

  /** Closes the connections that are kept open. */
  close(): void {
    this.agent.destroy()
  }

  private async call(member: string, path: string, body: object, timeoutMs: number): Promise<unknown> {
    const { from, ca, pair } = this.credentials
    const { promise, resolve, reject } = Promise.withResolvers<string>()
    const asked = request({
      ...{ host: member, port: clientPort, path, method: 'POST', agent: this.agent, localAddress: from },
      ...{ ca, cert: pair?.cert, key: pair?.key },
      headers: { 'content-type': 'application/json' },
    })
    const timer = setTimeout(() => asked.destroy(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs)
    asked.on('error', reject)
    asked.on('response', (response) => {
      let answer = ''
      response.setEncoding('utf8')
      response.on('data', (chunk: string) => {
        answer += chunk
      })
      response.on('error', reject)
      response.on('end', () => {
        if (response.statusCode === 200 && response.complete) resolve(answer)
        else reject(new Error(`status ${response.statusCode}: ${answer.slice(0, 200)}`))
      })
    })
    asked.end(JSON.stringify(body))
    try {
      return jsonOf(await promise)
    } catch (cause) {
      const found = cause instanceof Error ? cause.message : String(cause)
      throw new SeederError(`asked etcd on ${member} for ${path}; ${found}`, { cause })
    } finally {
      clearTimeout(timer)
    }
  }
}

function base64(value: string): string {
  return Buffer.from(value).toString('base64')
}

function text(value: string): string {
  return Buffer.from(value, 'base64').toString()
}
