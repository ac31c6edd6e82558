import { z } from 'zod'
import { printable } from '../report/printable.ts'
import { type Advisory, releaseSchema } from './advisory.ts'
import type { Contained } from './contained.ts'
import { compareDebianVersions } from './debian-version.ts'
import { downloadSchema } from './download.ts'
import type { Catalog } from './feed.ts'
import { type Feeds, feedSchema } from './feed.ts'

/** A vulnerability that an image has. */
export const vulnerabilitySchema = z
  .object({
    id: z.string(),
    /** The source package that something in the image was built from, and its version. */
    source: z.string(),
    version: z.string(),
    /** The version that mends it, where there is one. */
    fixed: z.string().nullable(),
    urgency: z.string().nullable(),
    /** Somebody uses it; null when nobody said who does. */
    exploited: z.boolean().nullable(),
  })
  .readonly()

export type Vulnerability = z.output<typeof vulnerabilitySchema>

/** How many they are. */
export const countsSchema = z
  .object({
    total: z.int(),
    /** A newer package mends them. */
    fixable: z.int(),
    exploited: z.int().nullable(),
    /** By what the distribution thinks of them, where it says so. */
    urgency: z.record(z.string(), z.int()).readonly(),
    /** Not among them: where nobody has found out yet. */
    undetermined: z.int(),
  })
  .readonly()

export type Counts = z.output<typeof countsSchema>

/** What is known of an image, by whom, and when that was looked up. */
export const scanResultSchema = z
  .object({
    scanned: z.iso.datetime(),
    release: releaseSchema,
    feeds: z.array(feedSchema).readonly(),
    /** The list of those that are exploited. */
    catalog: downloadSchema.nullable(),
    counts: countsSchema,
    vulnerabilities: z.array(vulnerabilitySchema).readonly(),
    /** What was not looked up, as it is of no distribution: `NAME VERSION`. */
    notScanned: z.array(z.string()).readonly(),
  })
  .readonly()

export type ScanResult = z.output<typeof scanResultSchema>

/** What is looked into. */
export interface Knowledge {
  readonly feeds: Feeds
  readonly catalog: Catalog | undefined
}

/** Looks up what an image contains. Sorted: exploited first, then those with a fix, then by source package and id. */
export function scan({ sources, others }: Contained, { feeds, catalog }: Knowledge, now: Date): ScanResult {
  const bySource = Map.groupBy(feeds.advisories, ({ source }) => source)
  const found = new Map<string, Vulnerability>()
  const undetermined = new Set<string>()
  for (const { name, version } of sources) {
    for (const advisory of bySource.get(name) ?? []) {
      const range = advisory.ranges.find((each) => isIn(version, each))
      const key = `${advisory.id} ${name} ${version}`
      if (!range) continue
      if (advisory.undetermined) undetermined.add(key)
      else found.set(key, joined(found.get(key), vulnerabilityOf(advisory, version, range.fixed, catalog)))
    }
  }
  const vulnerabilities = [...found.values()].sort(byWeight)
  return {
    scanned: now.toISOString(),
    release: feeds.release,
    feeds: feeds.feeds,
    catalog: catalog?.download ?? null,
    counts: {
      ...countsOf(vulnerabilities, catalog !== undefined),
      undetermined: [...undetermined].filter((key) => !found.has(key)).length,
    },
    vulnerabilities,
    notScanned: others,
  }
}

function vulnerabilityOf(
  { id, source, urgency }: Advisory,
  version: string,
  fixed: string | undefined,
  catalog: Catalog | undefined,
): Vulnerability {
  return {
    id: printable(id),
    source,
    version,
    fixed: fixed === undefined ? null : printable(fixed),
    urgency: urgency === undefined ? null : printable(urgency),
    exploited: catalog ? catalog.ids.has(id) : null,
  }
}

/** Two feeds, or two advisories of one, may be about the same: together they know more. */
function joined(before: Vulnerability | undefined, one: Vulnerability): Vulnerability {
  if (!before) return one
  return { ...before, fixed: before.fixed ?? one.fixed, urgency: before.urgency ?? one.urgency }
}

function countsOf(vulnerabilities: readonly Vulnerability[], catalog: boolean): Omit<Counts, 'undetermined'> {
  const count = (test: (one: Vulnerability) => boolean) => vulnerabilities.filter(test).length
  const urgencies = Map.groupBy(vulnerabilities, ({ urgency }) => urgency)
  return {
    total: vulnerabilities.length,
    fixable: count(({ fixed }) => fixed !== null),
    exploited: catalog ? count(({ exploited }) => exploited === true) : null,
    urgency: Object.fromEntries(
      [...urgencies]
        .flatMap(([urgency, some]): [string, number][] => (urgency === null ? [] : [[urgency, some.length]]))
        .sort(),
    ),
  }
}

function isIn(version: string, { introduced, fixed }: Advisory['ranges'][number]): boolean {
  if (introduced !== undefined && compareDebianVersions(version, introduced) < 0) return false
  return fixed === undefined || compareDebianVersions(version, fixed) < 0
}

function byWeight(a: Vulnerability, b: Vulnerability): number {
  const weight = ({ exploited, fixed }: Vulnerability) => (exploited ? 0 : fixed === null ? 2 : 1)
  return weight(a) - weight(b) || a.source.localeCompare(b.source, 'en') || a.id.localeCompare(b.id, 'en')
}
