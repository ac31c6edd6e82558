import { z } from 'zod'

/** What a feed says of one vulnerability in one source package of one release of a distribution. */
export interface Advisory {
  /** CVE-… where there is one. */
  readonly id: string
  /** The source package. */
  readonly source: string
  /**
   * The versions that have it: from the one it came with (undefined: from the first) to before the one that mends it
   * (undefined: there is none yet).
   */
  readonly ranges: readonly {
    readonly introduced?: string | undefined
    readonly fixed?: string | undefined
  }[]
  /** What the distribution thinks of it, in its own words; undefined when it does not say. */
  readonly urgency: string | undefined
  /** Nobody has found out yet whether this release has it. */
  readonly undetermined: boolean
}

/** A release of a distribution, as an image's packages name it. */
export const releaseSchema = z
  .object({
    /** `debian` or `ubuntu`. */
    distribution: z.string(),
    /** As in `trixie`. */
    suite: z.string(),
  })
  .readonly()

export type DistributionRelease = z.output<typeof releaseSchema>
