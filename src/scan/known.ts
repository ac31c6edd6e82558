import { z } from 'zod'
import type { Contained } from './contained.ts'
import { silenceOf } from './feed.ts'
import {
  countsSchema,
  type Knowledge,
  scan,
  scanResultSchema,
  type Vulnerability,
  vulnerabilitySchema,
} from './scan.ts'

const list = z.array(vulnerabilitySchema).readonly()

/** How what is known of two versions of an image differs. Versions are those of the newer one, of what is gone the older one's. */
export const changesSchema = z
  .object({
    /** Of the older one. */
    before: countsSchema,
    gone: list,
    stayed: list,
    came: list,
  })
  .readonly()

export type VulnerabilityChanges = z.output<typeof changesSchema>

/** What is known of an image, beside an older one where there is one; or why nothing is known. */
export const knownSchema = z.discriminatedUnion('isScanned', [
  z
    .object({
      isScanned: z.literal(false),
      /** As in `no feed`. */
      reason: z.string(),
    })
    .readonly(),
  z
    .object({
      isScanned: z.literal(true),
      now: scanResultSchema,
      /** Null when there is nothing to compare with. */
      changes: changesSchema.nullable(),
    })
    .readonly(),
])

export type Known = z.output<typeof knownSchema>
export type Scanned = Extract<Known, { isScanned: true }>

/** What is said where nobody has given a feed: nothing may look as if it had been scanned. */
export const NO_FEED: Known = { isScanned: false, reason: 'no feed' }

/**
 * Looks up an image and the older one beside it.
 * @param before undefined when there is none, or it does not say what is in it; one of another release of a distribution
 *   is not compared
 */
export function lookUp(
  after: Contained,
  before: Contained | undefined,
  knowledge: Knowledge,
  now: Date,
): Known {
  const silence = silenceOf(knowledge.feeds)
  if (silence !== undefined) return { isScanned: false, reason: silence }
  const result = scan(after, knowledge, now)
  const comparable = before?.release.suite === after.release.suite
  const older = before && comparable ? scan(before, knowledge, now) : undefined
  return {
    isScanned: true,
    now: result,
    changes: older
      ? { before: older.counts, ...changesOf(older.vulnerabilities, result.vulnerabilities) }
      : null,
  }
}

/** A vulnerability stays when the same source package still has it, in whatever version. */
export function changesOf(
  before: readonly Vulnerability[],
  after: readonly Vulnerability[],
): Omit<VulnerabilityChanges, 'before'> {
  const [old, now] = [new Set(before.map(keyOf)), new Set(after.map(keyOf))]
  return {
    gone: before.filter((one) => !now.has(keyOf(one))),
    stayed: after.filter((one) => old.has(keyOf(one))),
    came: after.filter((one) => !old.has(keyOf(one))),
  }
}

/** By what a vulnerability is found again in another version. */
export function keyOf({ id, source }: Vulnerability): string {
  return `${id} ${source}`
}
