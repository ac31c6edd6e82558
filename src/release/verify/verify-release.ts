import type { Manifest } from '../../build/manifest.ts'
import type { Release, Releases } from '../../github/release.ts'
import { contradictions, notAsPublished, partsOf } from '../format/agreement.ts'
import { compareAssets, untilDigested } from '../format/assets.ts'
import { CONTENTS_FILE, type Contents, readContents } from '../format/contents.ts'
import { requireTagOf } from '../format/tag-commit.ts'
import type { SignatureCheck } from '../signature/signers.ts'
import { agreement, type Finding, unchecked, wrong } from './finding.ts'
import { releaseFiles } from './image-files.ts'
import { requireSound, verifyImage } from './verify-image.ts'

/** A release that was verified. */
export interface Verified {
  readonly manifest: Manifest
  /** Undefined when no signature was required. */
  readonly signer: string | undefined
}

/**
 * Verifies that a release is complete and is what was tested. The disk is not downloaded: the digests that GitHub has
 * computed are compared.
 * @throws SeederError with the first finding that prevents its use
 */
export async function verifyRelease(
  releases: Releases,
  listed: Release,
  { allowedSigners, allowUnsigned }: SignatureCheck,
  signal: AbortSignal,
): Promise<Verified> {
  const release = await untilDigested(releases, listed, signal)
  const contents = await readContents(releases, release, signal)
  if (!contents) throw notAsPublished(release, `it has no ${CONTENTS_FILE}`)
  requireSound(release, checkContents(release, contents))
  const files = releaseFiles({ releases, release, contents }, 'by GitHub', signal)
  const { findings, manifest, signer } = await verifyImage(files, allowedSigners)
  requireSound(release, findings, allowUnsigned)
  if (!manifest) throw notAsPublished(release, 'it has no manifest')
  const { commit } = manifest.source
  if (commit !== null) await requireTagOf(releases, release.tag, commit, { exists: true, signal })
  return { manifest, signer }
}

/** Compares `release.json` with the assets that GitHub has. */
export function checkContents(release: Release, contents: Contents | undefined): Finding[] {
  if (!contents) return [wrong('contents', CONTENTS_FILE, 'the release has none')]
  const { length } = release.assets
  const { extra } = compareAssets(partsOf(contents), release.assets)
  return [
    agreement(
      'contents',
      CONTENTS_FILE,
      contradictions(contents, release),
      `agrees with the ${length} assets`,
    ),
    ...extra
      .filter(({ name }) => name !== CONTENTS_FILE)
      .map(({ name }) => unchecked('unlisted', name, `${CONTENTS_FILE} does not name it`)),
  ]
}
