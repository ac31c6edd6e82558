import { z } from 'zod'
import { parseJson, whyNot } from '../../files/json.ts'
import type { Release, Releases } from '../../github/release.ts'
import { SeederError } from '../../report/error.ts'
import { foreignLine, sha256Hex } from '../../report/text-schemas.ts'
import { readAssetText } from './asset-text.ts'

/** Names of files in a release become paths. */
export const FILE_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]*$/
const fileName = foreignLine.regex(FILE_NAME)

const file = z.object({
  name: fileName,
  size: z.int().nonnegative(),
  sha256: sha256Hex,
  /** In order; a file that is not split has one part with its own name. */
  parts: z.array(z.object({ name: fileName, size: z.int().nonnegative(), sha256: sha256Hex })).min(1),
})

/**
 * `release.json`, an asset of every release: its files, and the parts of those that are too big for one asset.
 * `SHA256SUMS`, which may be signed, has the digests of the disk, the manifest, `template.conf` and the list of the
 * bundle, but not of the test report, which is made after it. Sizes in bytes.
 */
export const contentsSchema = z.object({
  schema: z.literal(1),
  image: foreignLine,
  version: foreignLine,
  /** The disk's digest: the image's identity. */
  raw: z.object({ sha256: sha256Hex }),
  files: z.array(file).min(1),
  /** One file with everything that the image was built from; absent when it was published without its bundle. */
  bundleFile: file.optional(),
})

export type Contents = z.output<typeof contentsSchema>
export type ReleaseFile = Contents['files'][number]
export type Part = ReleaseFile['parts'][number]

/** The name of the asset. */
export const CONTENTS_FILE = 'release.json'

/** GitHub accepts less than 2 GiB per asset; exactly 2 GiB failed. A multiple of the block size of files. */
export const PART_SIZE = 1_900 * 1024 * 1024

/**
 * Reads `release.json` of a release; undefined when it has none because Seeder did not make it.
 * @throws SeederError when it cannot be read or is invalid
 */
export async function readContents(
  releases: Releases,
  release: Release,
  signal: AbortSignal,
): Promise<Contents | undefined> {
  const asset = release.assets.find(({ name }) => name === CONTENTS_FILE)
  if (!asset) return undefined
  const text = (await readAssetText(releases, asset, signal)).toString()
  try {
    return parseJson(text, contentsSchema)
  } catch (cause) {
    throw new SeederError(
      `${CONTENTS_FILE} of ${release.tag} does not say what is in the release: ${whyNot(cause)}`,
      { fix: `see ${release.url}: Seeder did not make it like this`, cause },
    )
  }
}
