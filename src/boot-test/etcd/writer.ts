import { setTimeout as sleep } from 'node:timers/promises'
import type { EtcdClient } from './client.ts'

/** A write the cluster has acknowledged. */
export interface Acknowledged {
  readonly key: string
  readonly value: string
  /** When, on the clock of `performance.now()`. */
  readonly at: number
}

const prefix = 'seeder-proof/'
// As long as a client of a cluster that elects a leader had better wait before it asks another member.
const attemptMs = 2500

/** Writes one key after the other, each with a value of its own, and remembers what was acknowledged. */
export class Writer {
  readonly acknowledged: Acknowledged[] = []
  /** How many writes were not acknowledged, which says nothing about whether they were written. */
  failures = 0
  /** Addresses of the members it may ask; on a failure it goes on with the next. */
  members: readonly string[]
  private readonly client: EtcdClient
  private readonly pauseMs: number
  private ended: Promise<void> | undefined
  private stopped = false

  /** @param pauseMs between two writes */
  constructor(client: EtcdClient, members: readonly string[], pauseMs: number) {
    this.client = client
    this.pauseMs = pauseMs
    this.members = members
  }

  start(): void {
    this.ended ??= this.write()
  }

  /** Ends it with the write that is under way. */
  async stop(): Promise<void> {
    this.stopped = true
    await this.ended
  }

  /** The first write that was acknowledged after a moment, or undefined when none was within the time. */
  async nextAfter(moment: number, timeoutMs: number): Promise<Acknowledged | undefined> {
    for (const deadline = performance.now() + timeoutMs; performance.now() < deadline; await sleep(50)) {
      const found = this.acknowledged.find(({ at }) => at > moment)
      if (found) return found
    }
    return undefined
  }

  /**
   * What of all that was acknowledged a member does not know any more, as `key: value, not the one written`.
   * @throws SeederError when it does not answer
   */
  async missing(member: string, timeoutMs: number): Promise<string[]> {
    const acknowledged = [...this.acknowledged]
    return lost(acknowledged, await this.client.range(member, prefix, timeoutMs))
  }

  private async write(): Promise<void> {
    for (let number = 1, at = 0; !this.stopped; number++) {
      const member = this.members[at % this.members.length] ?? ''
      const [key, value] = [`${prefix}${String(number).padStart(8, '0')}`, `${number} by way of ${member}`]
      try {
        await this.client.put(member, key, value, attemptMs)
        this.acknowledged.push({ key, value, at: performance.now() })
      } catch {
        this.failures++
        at++
      }
      await sleep(this.pauseMs)
    }
  }
}

/** What was acknowledged and is not there, or is another value. */
export function lost(acknowledged: readonly Acknowledged[], found: ReadonlyMap<string, string>): string[] {
  return acknowledged
    .filter(({ key, value }) => found.get(key) !== value)
    .map(({ key }) => `${key}: ${found.get(key) ?? 'nothing'}`)
}

/** The longest time in milliseconds between two acknowledged writes, of which the second came after a moment. */
export function longestPause(acknowledged: readonly Acknowledged[], from: number): number {
  const first = acknowledged.findLastIndex(({ at }) => at <= from)
  const times = acknowledged.slice(Math.max(first, 0)).map(({ at }) => at)
  return Math.max(0, ...times.slice(1).map((at, index) => at - (times[index] ?? at)))
}
