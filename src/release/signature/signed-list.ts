import { createHash } from 'node:crypto'
import { type BundleList, bundleListName } from '../../build/bundle/format.ts'
import { type Manifest, manifestName, manifestSchema } from '../../build/manifest.ts'
import { parseJson, whyNot } from '../../files/json.ts'
import type { Release, Releases } from '../../github/release.ts'
import { SeederError } from '../../report/error.ts'
import { readSmallAsset } from '../format/asset-text.ts'
import { readBundleList } from '../format/bundle-list.ts'
import { parseSums, SIGNATURE_FILE, SUMS_FILE } from '../format/sums.ts'
import { formatTag, requireTag } from '../format/tag.ts'
import { notAsPublished } from '../format/test-evidence.ts'
import { type SignatureCheck, verifySigned } from './signed-sums.ts'

/**
 * Reads the list of a release's bundle. SHA256SUMS has to have it, and to be signed by whom it should be.
 * Throws SeederError when it is not so, or the release has no list.
 */
export async function readSignedList(
  releases: Releases,
  release: Release,
  trust: SignatureCheck,
  signal: AbortSignal,
): Promise<BundleList> {
  const version = requireTag(release.tag)
  const find = (name: string) => release.assets.find((one) => one.name === name)
  const read = async (name: string): Promise<Buffer> => {
    const asset = find(name)
    if (!asset) throw notAsPublished(release, `it has no ${name}`)
    return readSmallAsset(releases, asset, signal)
  }
  const text = await read(SUMS_FILE)
  await verifySigned(release, text, find(SIGNATURE_FILE) && (await read(SIGNATURE_FILE)), trust)
  const sums = parseSums(text.toString())
  const listName = bundleListName(version)
  if (!sums.has(listName)) {
    throw new SeederError(`${release.tag} has no list of what it was built from: an older Seeder made it`, {
      fix: 'build it at its commit, as long as the archives have the packages',
    })
  }
  const vouched = async (name: string): Promise<Buffer> => {
    const content = await read(name)
    const found = createHash('sha256').update(content).digest('hex')
    if (found === sums.get(name)) return content
    throw notAsPublished(release, `${name} has the sha256 ${found}, and ${SUMS_FILE} says ${sums.get(name)}`)
  }
  const manifest = manifestOf(release, await vouched(manifestName(version)))
  return readBundleList(await vouched(listName), manifest)
}

function manifestOf(release: Release, text: Buffer): Manifest {
  let manifest: Manifest
  try {
    manifest = parseJson(text.toString(), manifestSchema)
  } catch (cause) {
    throw notAsPublished(release, `its manifest cannot be read: ${whyNot(cause)}`, cause)
  }
  if (formatTag(manifest) === release.tag) return manifest
  throw notAsPublished(release, `its manifest is of ${formatTag(manifest)}`)
}
