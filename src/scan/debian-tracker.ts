import { z } from 'zod'
import type { Advisory, DistributionRelease } from './advisory.ts'

/** Source package → vulnerability → what is known of it, by release. The rest of the feed is not looked at. */
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

/** Reads Debian's own feed. `0` as the version that mends it is how it says that a release never had it. */
export function readDebianTracker(
  feed: z.output<typeof debianTrackerSchema>,
  { suite }: DistributionRelease,
): Advisory[] {
  return Object.entries(feed).flatMap(([source, vulnerabilities]) =>
    Object.entries(vulnerabilities).flatMap(([id, { releases }]) => {
      const here = releases[suite]
      if (!here || here.fixed_version === '0') return []
      const { status, fixed_version: fixed, urgency } = here
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
