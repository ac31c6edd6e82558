import { z } from 'zod'
import type { Advisory, DistributionRelease } from './advisory.ts'

/** One vulnerability in OSV's form, as far as it is looked at. */
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

/** What OSV calls the releases of the distributions that images are made of; Ubuntu's go on with `:LTS`. */
const ECOSYSTEMS: Readonly<Record<string, string>> = { trixie: 'Debian:13', resolute: 'Ubuntu:26.04' }

/** Reads OSV's vulnerabilities. Throws nothing: what is about another release is left out. */
export function readOsv(
  vulnerabilities: readonly z.output<typeof osvSchema>[],
  { suite }: DistributionRelease,
): Advisory[] {
  const ecosystem = ECOSYSTEMS[suite]
  if (ecosystem === undefined) return []
  return vulnerabilities.flatMap(({ id, aliases, upstream, withdrawn, affected }) =>
    withdrawn === undefined
      ? affected
          .filter(
            ({ package: one }) => one?.ecosystem === ecosystem || one?.ecosystem.startsWith(`${ecosystem}:`),
          )
          .flatMap((one) =>
            namesOf(id, [...aliases, ...upstream]).map((name) => ({
              id: name,
              source: one.package?.name ?? '',
              ranges: one.ranges
                .filter(({ type }) => type === 'ECOSYSTEM')
                .flatMap(({ events }) => rangesOf(events)),
              urgency: one.ecosystem_specific?.urgency,
              undetermined: false,
            })),
          )
      : [],
  )
}

/** A distribution's own advisory is often about several vulnerabilities: it counts as those. */
function namesOf(id: string, others: readonly string[]): string[] {
  if (id.startsWith('CVE-')) return [id]
  const known = [...new Set(others)].filter((name) => name.startsWith('CVE-'))
  return known.length > 0 ? known : [id]
}

/** Events in pairs: it came with one version, and went with another, if it did. */
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
