import { setTimeout as sleep } from 'node:timers/promises'
import type { EtcdClient } from './client.ts'

/** A write that the cluster has acknowledged. */
export interface AcknowledgedWrite {
  readonly key: string
  readonly value: string
  /** Of the acknowledgement, on the clock of `performance.now()`. */
  readonly time: number
}

const KEY_PREFIX = 'seeder-test/'
// After this time a client does better to try another member, because the cluster may be electing a leader.
const ATTEMPT_MS = 2500

/** Writes one key after the other, each with its own value, and records the acknowledged writes. */
export class Writer {
  readonly acknowledged: AcknowledgedWrite[] = []
  /** The number of writes that were not acknowledged; they may have happened nevertheless. */
  failures = 0
  /** Addresses of the members to write to; after a failure it continues with the next one. */
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

  /** Stops after the current write. */
  async stop(): Promise<void> {
    this.stopped = true
    await this.ended
  }

  /** Waits for the first write that is acknowledged after a moment; undefined when there is none within the time. */
  async nextAfter(moment: number, timeoutMs: number): Promise<AcknowledgedWrite | undefined> {
    for (const deadline = performance.now() + timeoutMs; performance.now() < deadline; await sleep(50)) {
      const found = this.acknowledged.find(({ time }) => time > moment)
      if (found) return found
    }
    return undefined
  }

  /**
   * The acknowledged writes that a member does not have, as `key: the value it has instead`.
   * @throws SeederError when the member does not respond
   */
  async missing(member: string, timeoutMs: number): Promise<string[]> {
    const acknowledged = [...this.acknowledged]
    return lostWrites(acknowledged, await this.client.range(member, KEY_PREFIX, timeoutMs))
  }

  private async write(): Promise<void> {
    for (let number = 1, index = 0; !this.stopped; number++) {
      const member = this.members[index % this.members.length] ?? ''
      const [key, value] = [
        `${KEY_PREFIX}${String(number).padStart(8, '0')}`,
        `${number} by way of ${member}`,
      ]
      try {
        await this.client.put(member, key, value, ATTEMPT_MS)
        this.acknowledged.push({ key, value, time: performance.now() })
      } catch {
        this.failures++
        index++
      }
      await sleep(this.pauseMs)
    }
  }
}

/** The acknowledged writes that are missing, or have another value. */
export function lostWrites(
  acknowledged: readonly AcknowledgedWrite[],
  found: ReadonlyMap<string, string>,
): string[] {
  return acknowledged
    .filter(({ key, value }) => found.get(key) !== value)
    .map(({ key }) => `${key}: ${found.get(key) ?? 'nothing'}`)
}

/** The longest time in milliseconds between two acknowledged writes, of which the second is after a moment. */
export function longestPause(acknowledged: readonly AcknowledgedWrite[], from: number): number {
  const first = acknowledged.findLastIndex(({ time }) => time <= from)
  const times = acknowledged.slice(Math.max(first, 0)).map(({ time }) => time)
  return Math.max(0, ...times.slice(1).map((time, index) => time - (times[index] ?? time)))
}
