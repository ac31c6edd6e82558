import { z } from 'zod'
import { parseJson } from '../../files/json.ts'
import { foreignLine } from '../../report/text-schemas.ts'

const sha256 = foreignLine.regex(/^[0-9a-f]{64}$/)

/** The folders of a bundle: definitions, the program that builds them, and locked files by their sha256. */
export const FOLDERS = { project: 'project', program: 'seeder', store: 'store' } as const

const file = z.object({
  path: foreignLine.regex(/^(?=(project|seeder|store)\/)(?!.*\/\.\.?(\/|$)).+[^/]$/),
  /** Bytes. */
  size: z.int().nonnegative(),
  sha256,
  /** Left away for a file that is none. */
  executable: z.literal(true).optional(),
  /** Of a locked file: what it is, and its version. */
  name: foreignLine.optional(),
})

/**
 * The list of a bundle: of everything that one version of an image is built from, which is enough to build it again without
 * any archive or network. A build leaves it as `IMAGE-VERSION.bundle.json`, which SHA256SUMS lists and the signature covers;
 * in a bundle the same bytes are `bundle.json`, its first file.
 */
export const bundleSchema = z.object({
  schema: z.literal(1),
  image: foreignLine,
  version: foreignLine,
  base: foreignLine,
  /** The minor version that was chosen; left away for an image without lines. */
  line: foreignLine.optional(),
  /** Seconds since 1970: the time that every file of the bundle has. */
  epoch: z.int(),
  lock: z.object({ sha256 }),
  source: z.object({ commit: foreignLine.nullable(), dirty: z.boolean() }),
  /** The disk that comes of it. */
  raw: z.object({ sha256 }),
  /** Every other file of the bundle, by path. */
  files: z.array(file).refine((files) => new Set(files.map(({ path }) => path)).size === files.length, {
    error: 'a path is there twice',
  }),
})

export type BundleIndex = z.output<typeof bundleSchema>
export type BundleFile = BundleIndex['files'][number]

/** A bundle's list, and the very bytes that were signed. */
export interface BundleList {
  readonly index: BundleIndex
  readonly text: Buffer
}

/** The list inside a bundle. */
export const INDEX_FILE = 'bundle.json'

/** The name of the list beside a build, and in a release. */
export function bundleListName({ image, version }: { image: string; version: string }): string {
  return `${image}-${version}.bundle.json`
}

/** The name of the whole bundle, one file. */
export function bundleName({ image, version }: { image: string; version: string }): string {
  return `${image}-${version}.bundle.tar`
}

/** The text of a list. */
export function formatBundleList(index: BundleIndex): string {
  return `${JSON.stringify(index, null, 1)}\n`
}

/** Throws UnreadableJson. */
export function parseBundleList(text: Buffer): BundleList {
  return { text, index: parseJson(text.toString(), bundleSchema) }
}

/** The different contents among the files of a bundle, by digest: some files are the same. */
export function contentsOf(files: readonly BundleFile[]): BundleFile[] {
  const byDigest = new Map(files.toReversed().map((one) => [one.sha256, one]))
  return [...byDigest.values()].sort((a, b) => (a.sha256 < b.sha256 ? -1 : 1))
}
