import { z } from 'zod'
import { SeederError } from '../report/error.ts'
import type { Advisory, DistributionRelease } from './advisory.ts'
import { debianTrackerSchema, readDebianTracker } from './debian-tracker.ts'
import { type Download, downloadSchema, newestDate, readDownload } from './download.ts'
import { osvSchema, readOsv } from './osv.ts'

/** A feed that was searched. */
export const feedSchema = z
  .object({
    kind: z.enum(['Debian security tracker', 'OSV']),
    ...downloadSchema.unwrap().shape,
    /** The number of entries about the image's release. */
    entries: z.int(),
  })
  .readonly()

export type Feed = z.output<typeof feedSchema>

/** The advisories about a release. */
export interface Feeds {
  readonly release: DistributionRelease
  readonly feeds: readonly Feed[]
  readonly advisories: readonly Advisory[]
}

/**
 * Reads downloaded feeds: the JSON of Debian's security tracker, or vulnerabilities in OSV's format (one, an array, one per
 * line, or a folder of such files). Entries about other releases are dropped, because a tracker is large.
 * @throws UsageError when a feed cannot be read, SeederError when it has another format
 */
export async function readFeeds(paths: readonly string[], release: DistributionRelease): Promise<Feeds> {
  const feeds: Feed[] = []
  const advisories: Advisory[] = []
  for (const path of paths) {
    const { documents, ...download } = await readDownload(path)
    const read = advisoriesOf(documents, release)
    if (!read) {
      throw new SeederError(`${path} is no known feed of vulnerabilities`, {
        fix: 'give the JSON of the Debian security tracker, or vulnerabilities in OSV’s form',
      })
    }
    const { kind, date, found } = read
    feeds.push({ kind, ...download, date, entries: found.length })
    for (const advisory of found) advisories.push(advisory)
  }
  return { release, feeds, advisories }
}

function advisoriesOf(
  documents: readonly unknown[],
  release: DistributionRelease,
): (Pick<Feed, 'kind' | 'date'> & { found: Advisory[] }) | undefined {
  const osv = z.array(osvSchema).safeParse(documents)
  if (osv.success && documents.length > 0) {
    const date = newestDate(osv.data.map(({ modified }) => modified))
    return { kind: 'OSV', date, found: readOsv(osv.data, release) }
  }
  const tracker = debianTrackerSchema.safeParse(documents[0])
  if (documents.length !== 1 || !tracker.success) return undefined
  // Debian's feed has no date.
  return { kind: 'Debian security tracker', date: null, found: readDebianTracker(tracker.data, release) }
}

/**
 * Why these feeds cannot be used: none has an entry about the release, so their silence means nothing. Undefined when one has.
 */
export function silenceOf({ release, feeds }: Feeds): string | undefined {
  if (feeds.some(({ entries }) => entries > 0)) return undefined
  const names = feeds.map(({ name }) => name).join(', ')
  return feeds.length === 0
    ? 'no feed'
    : `${names} has no entry about ${release.distribution} ${release.suite}`
}

const catalogSchema = z.object({
  dateReleased: z.string().optional(),
  vulnerabilities: z.array(z.object({ cveID: z.string() })),
})

/** The vulnerabilities that are known to be exploited. */
export interface Catalog {
  readonly download: Download
  readonly ids: ReadonlySet<string>
}

/**
 * Reads CISA's catalog of known exploited vulnerabilities.
 * @throws SeederError when it has another format
 */
export async function readExploited(path: string): Promise<Catalog> {
  const { documents, ...download } = await readDownload(path)
  const list = catalogSchema.safeParse(documents[0])
  if (documents.length !== 1 || !list.success) {
    throw new SeederError(`${path} is no list of exploited vulnerabilities`, {
      fix: 'give the JSON of CISA’s catalog (known_exploited_vulnerabilities.json)',
    })
  }
  const { dateReleased, vulnerabilities } = list.data
  return {
    download: { ...download, date: newestDate([dateReleased]) },
    ids: new Set(vulnerabilities.map(({ cveID }) => cveID)),
  }
}
