import { type Manifest, manifestName } from '../../build/manifest.ts'
import type { Release, Releases } from '../../github/release.ts'
import { contradictionsWithin, partsOf } from '../format/agreement.ts'
import { readSmallAsset } from '../format/asset-text.ts'
import { compareAssets, describeDifference, untilDigested } from '../format/assets.ts'
import { CONTENTS_FILE, type Contents } from '../format/contents.ts'
import { readContents } from '../format/contents-asset.ts'
import { requireSums, SIGNATURE_FILE, SUMS_FILE } from '../format/sums.ts'
import { formatTag } from '../format/tag.ts'
import { requireTagOf } from '../format/tag-commit.ts'
import { notAsPublished, requireTested } from '../format/test-evidence.ts'
import { REPORT_FILE } from '../format/test-report.ts'
import { type SignatureCheck, verifySigned } from '../signature/signed-sums.ts'

/** What is known of a release after it was verified. */
export interface Verified {
  readonly rawSha256: string
  readonly manifest: Manifest
  /** Undefined when no signature was required. */
  readonly signer: string | undefined
}

/**
 * Checks that a release is whole and what was tested: its assets by GitHub's own digests, so that the image itself
 * need not be downloaded, the signature over its files, its manifest and its test.
 * Throws SeederError with the first that is not so.
 */
export async function verifyRelease(
  releases: Releases,
  release: Release,
  trust: SignatureCheck,
  signal: AbortSignal,
): Promise<Verified> {
  const at = await untilDigested(releases, release, signal)
  const contents = await readContents(releases, at, signal)
  if (!contents) throw notAsPublished(at, `it has no ${CONTENTS_FILE}`)
  if (formatTag(contents) !== at.tag) {
    throw notAsPublished(at, `its ${CONTENTS_FILE} is of ${formatTag(contents)}`)
  }
  requireAssets(at, contents)

  const read = async (name: string) => {
    const asset = at.assets.find((one) => one.name === name)
    if (!asset) throw notAsPublished(at, `it has no ${name}`)
    return readSmallAsset(releases, asset, signal)
  }
  const sums = await read(SUMS_FILE)
  requireSums(sums.toString(), contents)
  const signed = contents.files.some(({ name }) => name === SIGNATURE_FILE)
  const signer = await verifySigned(at, sums, signed ? await read(SIGNATURE_FILE) : undefined, trust)

  const manifest = requireTested(at, contents, {
    manifest: (await read(manifestName(contents))).toString(),
    report: (await read(REPORT_FILE)).toString(),
  })
  if (manifest.source.commit !== null) {
    await requireTagOf(releases, at.tag, manifest.source.commit, { exists: true, signal })
  }
  return { rawSha256: contents.raw.sha256, manifest, signer }
}

/** Compares what GitHub has with what `release.json` says that it has to have. */
function requireAssets(release: Release, contents: Contents): void {
  const [contradiction] = contradictionsWithin(contents)
  if (contradiction !== undefined) {
    throw notAsPublished(release, `its ${CONTENTS_FILE} cannot be right: ${contradiction}`)
  }
  const described = release.assets.filter(({ name }) => name !== CONTENTS_FILE)
  const different = describeDifference(compareAssets(partsOf(contents), described))
  if (different.length > 0) throw notAsPublished(release, different.join('; '))
}
