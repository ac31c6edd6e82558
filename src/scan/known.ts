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

/** The changes in known vulnerabilities between two versions of an image. `gone` has package versions of the older one. */
export const changesSchema = z
  .object({
    /** Of the older version. */
    before: countsSchema,
    gone: list,
    stayed: list,
    came: list,
  })
  .readonly()

export type VulnerabilityChanges = z.output<typeof changesSchema>

/** The known vulnerabilities of an image, compared with an older version; or the reason why it was not scanned. */
export const knownSchema = z.discriminatedUnion('isScanned', [
  z
    .object({
      isScanned: z.literal(false),
      /** Such as `no feed`. */
      reason: z.string(),
    })
    .readonly(),
  z
    .object({
      isScanned: z.literal(true),
      now: scanResultSchema,
      /** Null without an older version. */
      changes: changesSchema.nullable(),
    })
    .readonly(),
])

export type Known = z.output<typeof knownSchema>
export type Scanned = Extract<Known, { isScanned: true }>

/** The result without a feed, which must not look like that of a scan. */
export const NO_FEED: Known = { isScanned: false, reason: 'no feed' }

/**
 * Looks up the vulnerabilities of an image and of an older version.
 * @param before undefined when there is none, or its contents are unknown; it is only compared when it has the same release
 *   of the distribution
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

/** A vulnerability is unchanged when the same source package has it, in any version. */
export function changesOf(
  before: readonly Vulnerability[],
  after: readonly Vulnerability[],
): Omit<VulnerabilityChanges, 'before'> {
  const [old, now] = [new Set(before.map(keyOf)), new Set(after.map(keyOf))]
  return {
    gone: before.filter((found) => !now.has(keyOf(found))),
    stayed: after.filter((found) => old.has(keyOf(found))),
    came: after.filter((found) => !old.has(keyOf(found))),
  }
}

/** Identifies a vulnerability across versions. */
export function keyOf({ id, source }: Vulnerability): string {
  return `${id} ${source}`
}
