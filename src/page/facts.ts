import type { BilledPackage } from '../evidence/bill.ts'
import type { PackageChanges } from '../release/difference/changelog.ts'
import type { Difference } from '../release/difference/difference.ts'
import type { BuildRecord } from '../release/format/build-record.ts'
import type { Verification } from '../release/verify/finding.ts'

/** Everything that a page is made from. */
export interface PageFacts {
  readonly finished: BuildRecord
  /** What was found when the folder was looked at, and whether it has a signature at all. */
  readonly findings: readonly Verification[]
  readonly hasSignature: boolean
  /** The digests of SHA256SUMS, by the name of the file. */
  readonly sums: ReadonlyMap<string, string>
  /** What the bill of materials says of each package and tarball; empty when there is none. */
  readonly bill: readonly BilledPackage[]
  /** Undefined when it was compared with nothing. */
  readonly comparison: OlderVersion | undefined
  /** Whether the page will lie beside the files that it names. */
  readonly beside: boolean
}

/** An older version to compare with. */
export interface OlderVersion {
  readonly difference: Difference
  readonly changelogs: readonly PackageChanges[]
  /** Whether the older one is the promoted version. */
  readonly promoted: boolean
}
