import { z } from 'zod'
import type { Advisory, DistributionRelease } from './advisory.ts'

/** Source package → vulnerability → status by release. Other fields of the feed are ignored. */
export const debianTrackerSchema = z.record(
  z.string(),
  z.record(
    z.string(),
    z.object({
      releases: z
        .record(
          z.string(),
          z.object({
            status: z.string(),
            fixed_version: z.string().optional(),
            urgency: z.string().optional(),
          }),
        )
        .default({}),
    }),
  ),
)

/** Reads Debian's feed, where the fixed version `0` means that a release was never affected. */
export function readDebianTracker(
  feed: z.output<typeof debianTrackerSchema>,
  { suite }: DistributionRelease,
): Advisory[] {
  return Object.entries(feed).flatMap(([source, vulnerabilities]) =>
    Object.entries(vulnerabilities).flatMap(([id, { releases }]) => {
      const entry = releases[suite]
      if (!entry || entry.fixed_version === '0') return []
      const { status, fixed_version: fixed, urgency } = entry
      if (status === 'resolved' && fixed === undefined) return []
      return [
        {
          id,
          source,
          urgency,
          undetermined: status === 'undetermined',
          ranges: [{ fixed: status === 'resolved' ? fixed : undefined }],
        },
      ]
    }),
  )
}
