import { z } from 'zod'
import type { Advisory, DistributionRelease } from './advisory.ts'

/** A vulnerability in OSV's format, with the fields that are used. */
export const osvSchema = z.object({
  id: z.string(),
  aliases: z.array(z.string()).default([]),
  upstream: z.array(z.string()).default([]),
  withdrawn: z.string().optional(),
  modified: z.string().optional(),
  affected: z
    .array(
      z.object({
        package: z.object({ ecosystem: z.string(), name: z.string() }).optional(),
        ranges: z
          .array(
            z.object({
              type: z.string(),
              events: z.array(z.object({ introduced: z.string().optional(), fixed: z.string().optional() })),
            }),
          )
          .default([]),
        ecosystem_specific: z.object({ urgency: z.string().optional() }).optional().catch(undefined),
      }),
    )
    .default([]),
})

/** OSV's names of the distributions' releases; those of Ubuntu continue with `:LTS`. */
const ecosystems: Readonly<Record<string, string>> = { trixie: 'Debian:13', resolute: 'Ubuntu:26.04' }

/** The advisories about a release. */
export function readOsv(
  vulnerabilities: readonly z.output<typeof osvSchema>[],
  { suite }: DistributionRelease,
): Advisory[] {
  const ecosystem = ecosystems[suite]
  if (ecosystem === undefined) return []
  const isAffected = (name = '') => name === ecosystem || name.startsWith(`${ecosystem}:`)
  return vulnerabilities
    .filter(({ withdrawn }) => withdrawn === undefined)
    .flatMap(({ id, aliases, upstream, affected }) =>
      affected
        .filter((entry) => isAffected(entry.package?.ecosystem))
        .flatMap(({ package: source, ranges, ecosystem_specific: specific }) =>
          namesOf(id, [...aliases, ...upstream]).map((name) => ({
            id: name,
            source: source?.name ?? '',
            ranges: ranges
              .filter(({ type }) => type === 'ECOSYSTEM')
              .flatMap(({ events }) => rangesOf(events)),
            urgency: specific?.urgency,
            undetermined: false,
          })),
        ),
    )
}

/** A distribution's advisory about several vulnerabilities counts as each of them. */
function namesOf(id: string, others: readonly string[]): string[] {
  if (id.startsWith('CVE-')) return [id]
  const known = [...new Set(others)].filter((name) => name.startsWith('CVE-'))
  return known.length > 0 ? known : [id]
}

/** The ranges from OSV's events: introduced, then perhaps fixed. */
function rangesOf(
  events: readonly { introduced?: string | undefined; fixed?: string | undefined }[],
): Advisory['ranges'] {
  const ranges: { introduced?: string | undefined; fixed?: string | undefined }[] = []
  for (const { introduced, fixed } of events) {
    if (introduced !== undefined) ranges.push({ introduced: introduced === '0' ? undefined : introduced })
    const last = ranges.at(-1)
    if (fixed !== undefined && last) last.fixed = fixed
  }
  return ranges
}
