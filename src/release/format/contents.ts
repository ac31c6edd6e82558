import { z } from 'zod'
import { foreignLine } from '../../report/text-schemas.ts'

const sha256 = foreignLine.regex(/^[0-9a-f]{64}$/)
/** What a file of a release may be called: names become paths. */
export const FILE_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]*$/
const fileName = foreignLine.regex(FILE_NAME)

const file = z.object({
  name: fileName,
  size: z.int().nonnegative(),
  sha256,
  /** In order; one part with the file's own name when the file is an asset as it is. */
  parts: z.array(z.object({ name: fileName, size: z.int().nonnegative(), sha256 })).min(1),
})

/**
 * `release.json`, an asset of every release: which files it has, and how a file too big for one asset is put together
 * again. `SHA256SUMS`, which may be signed, vouches for the disk, the manifest, `template.conf` and the list of the bundle;
 * nothing signed vouches for the test report, which is made after it. Sizes in bytes.
 */
export const contentsSchema = z.object({
  schema: z.literal(1),
  image: foreignLine,
  version: foreignLine,
  /** The disk's digest: the image's identity. */
  raw: z.object({ sha256 }),
  files: z.array(file).min(1),
  /** The bundle: everything that the image was built from, one file. Left out when it was published without it. */
  bundleFile: file.optional(),
})

export type Contents = z.output<typeof contentsSchema>
export type ReleaseFile = Contents['files'][number]
export type Part = ReleaseFile['parts'][number]

/** The name of the asset. */
export const CONTENTS_FILE = 'release.json'

/** GitHub takes less than 2 GiB per asset, and exactly 2 GiB was seen to fail. A multiple of the block size of files. */
export const PART_SIZE = 1_900 * 1024 * 1024
