import { z } from 'zod'
import { printable } from '../report/printable.ts'
import { type Advisory, releaseSchema } from './advisory.ts'
import type { Contained } from './contained.ts'
import { compareDebianVersions } from './debian-version.ts'
import { downloadSchema } from './download.ts'
import type { Catalog } from './feed.ts'
import { type Feeds, feedSchema } from './feed.ts'

/** A vulnerability of an image. */
export const vulnerabilitySchema = z
  .object({
    id: z.string(),
    /** The affected source package, and its version in the image. */
    source: z.string(),
    version: z.string(),
    /** The first version without it, if there is one. */
    fixed: z.string().nullable(),
    urgency: z.string().nullable(),
    /** Null without a catalog. */
    exploited: z.boolean().nullable(),
  })
  .readonly()

export type Vulnerability = z.output<typeof vulnerabilitySchema>

/** The numbers of vulnerabilities. */
export const countsSchema = z
  .object({
    total: z.int(),
    /** Fixed by a newer package. */
    fixable: z.int(),
    exploited: z.int().nullable(),
    /** By the distribution's rating, where there is one. */
    urgency: z.record(z.string(), z.int()).readonly(),
    /** Not in `total`: the distribution has not yet determined if the image is affected. */
    undetermined: z.int(),
  })
  .readonly()

export type Counts = z.output<typeof countsSchema>

/** The result of a scan. */
export const scanResultSchema = z
  .object({
    scanned: z.iso.datetime(),
    release: releaseSchema,
    feeds: z.array(feedSchema).readonly(),
    /** The catalog of exploited vulnerabilities. */
    catalog: downloadSchema.nullable(),
    counts: countsSchema,
    vulnerabilities: z.array(vulnerabilitySchema).readonly(),
    /** Packages and tarballs of no distribution, which no feed covers: `NAME VERSION`. */
    notScanned: z.array(z.string()).readonly(),
  })
  .readonly()

export type ScanResult = z.output<typeof scanResultSchema>

export interface Knowledge {
  readonly feeds: Feeds
  readonly catalog: Catalog | undefined
}

/** Scans the contents of an image. Sorted: exploited first, then fixed ones, then by source package and id. */
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
      else found.set(key, combine(found.get(key), vulnerabilityOf(advisory, version, range.fixed, catalog)))
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

/** Combines two advisories about the same vulnerability. */
function combine(before: Vulnerability | undefined, next: Vulnerability): Vulnerability {
  if (!before) return next
  return { ...before, fixed: before.fixed ?? next.fixed, urgency: before.urgency ?? next.urgency }
}

function countsOf(vulnerabilities: readonly Vulnerability[], catalog: boolean): Omit<Counts, 'undetermined'> {
  const count = (test: (found: Vulnerability) => boolean) => vulnerabilities.filter(test).length
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
