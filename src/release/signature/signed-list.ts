import { type BundleList, bundleListName } from '../../build/bundle/format.ts'
import { manifestName } from '../../build/manifest.ts'
import { parseSums, SUMS_FILE } from '../../build/sums.ts'
import type { Release, Releases } from '../../github/release.ts'
import { SeederError } from '../../report/error.ts'
import { notAsPublished } from '../format/agreement.ts'
import { readBundleList } from '../format/bundle-list.ts'
import { formatTag, requireTag } from '../format/tag.ts'
import { releaseFiles } from '../verify/image-files.ts'
import { checkSignature, readManifest, requireSound } from '../verify/verify-image.ts'
import type { SignatureCheck } from './signers.ts'

/**
 * Reads the list of a release's bundle, which SHA256SUMS has to name.
 * @throws SeederError when the release has no list, or its signature or a digest is wrong
 */
export async function readSignedList(
  releases: Releases,
  release: Release,
  { allowedSigners, allowUnsigned }: SignatureCheck,
  signal: AbortSignal,
): Promise<BundleList> {
  const version = requireTag(release.tag)
  const files = releaseFiles({ releases, release, contents: undefined }, 'computed', signal)
  const text = await files.read(SUMS_FILE)
  const { finding } = await checkSignature(files, text, allowedSigners)
  requireSound(release, [finding], allowUnsigned)
  const sums = parseSums(text.toString())
  const listName = bundleListName(version)
  if (!sums.has(listName)) {
    throw new SeederError(`${release.tag} has no list of what it was built from: an older Seeder made it`, {
      fix: 'build it at its commit, as long as the archives have the packages',
    })
  }
  for (const name of [manifestName(version), listName]) {
    requireSound(release, [await files.compare(name, sums.get(name) ?? '')])
  }
  const manifest = await readManifest(files, sums)
  if (typeof manifest === 'string') throw notAsPublished(release, manifest)
  if (formatTag(manifest) !== release.tag) {
    throw notAsPublished(release, `its manifest is of ${formatTag(manifest)}`)
  }
  return readBundleList(await files.read(listName), manifest)
}
