import { type BundleList, bundleListName } from '../../build/bundle/format.ts'
import { manifestName, manifestSchema } from '../../build/manifest.ts'
import { parseSums, SUMS_FILE } from '../../build/sums.ts'
import { parseJson, whyNot } from '../../files/json.ts'
import type { Release, Releases } from '../../github/release.ts'
import { SeederError } from '../../report/error.ts'
import { notAsPublished } from '../format/agreement.ts'
import { readBundleList } from '../format/bundle-list.ts'
import { formatTag, requireTag } from '../format/tag.ts'
import { releaseFiles } from '../verify/image-files.ts'
import { checkSignature, requireSigned, requireSound } from '../verify/verify-image.ts'
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
  if (!allowUnsigned) requireSigned(release, [finding])
  requireSound(release, [finding])
  const sums = parseSums(text.toString())
  const listName = bundleListName(version)
  if (!sums.has(listName)) {
    throw new SeederError(`${release.tag} has no list of what it was built from: an older Seeder made it`, {
      fix: 'build it at its commit, as long as the archives have the packages',
    })
  }
  const readListed = async (name: string): Promise<Buffer> => {
    requireSound(release, [await files.compare(name, sums.get(name) ?? '')])
    return files.read(name)
  }
  const manifest = parseManifest(release, await readListed(manifestName(version)))
  if (formatTag(manifest) !== release.tag) {
    throw notAsPublished(release, `its manifest is of ${formatTag(manifest)}`)
  }
  return readBundleList(await readListed(listName), manifest)
}

function parseManifest(release: Release, text: Buffer) {
  try {
    return parseJson(text.toString(), manifestSchema)
  } catch (cause) {
    throw notAsPublished(release, `its manifest cannot be read: ${whyNot(cause)}`, cause)
  }
}
