import { z } from 'zod'

/** A feed's entry about a vulnerability in a source package of a distribution's release. */
export interface Advisory {
  /** CVE-…, or the distribution's own id. */
  readonly id: string
  /** The source package. */
  readonly source: string
  /**
   * The affected versions: from `introduced` (undefined: the first) up to, but not including, `fixed` (undefined: not fixed).
   */
  readonly ranges: readonly {
    readonly introduced?: string | undefined
    readonly fixed?: string | undefined
  }[]
  /** The distribution's rating, in its own words; undefined when there is none. */
  readonly urgency: string | undefined
  /** Whether the distribution has not yet determined if this release is affected. */
  readonly undetermined: boolean
}

/** A release of a distribution, as in the package URLs of an image. */
export const releaseSchema = z
  .object({
    /** `debian` or `ubuntu`. */
    distribution: z.string(),
    /** As in `trixie`. */
    suite: z.string(),
  })
  .readonly()

export type DistributionRelease = z.output<typeof releaseSchema>
