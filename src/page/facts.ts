import type { BilledPackage } from '../evidence/bill.ts'
import type { PackageChanges } from '../release/difference/changelog.ts'
import type { Difference } from '../release/difference/difference.ts'
import type { BuildRecord } from '../release/format/build-record.ts'
import type { Verification } from '../release/verify/finding.ts'

/** The input of a page. */
export interface PageFacts {
  readonly finished: BuildRecord
  /** Of the files in the folder, and whether it has a signature at all. */
  readonly findings: readonly Verification[]
  readonly hasSignature: boolean
  /** The digests in SHA256SUMS, by file name. */
  readonly sums: ReadonlyMap<string, string>
  /** The packages and tarballs in the bill of materials; empty when there is none. */
  readonly bill: readonly BilledPackage[]
  /** Undefined without a comparison. */
  readonly comparison: OlderVersion | undefined
  /** Whether the page is in the folder of the files that it names. */
  readonly beside: boolean
}

/** An older version to compare with. */
export interface OlderVersion {
  readonly difference: Difference
  readonly changelogs: readonly PackageChanges[]
  /** Whether the older one is the promoted version. */
  readonly promoted: boolean
}
