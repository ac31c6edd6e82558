import { z } from 'zod'
import { parseJson } from '../../files/json.ts'
import { foreignLine, sha256Hex } from '../../report/text-schemas.ts'

/** The folders of a bundle: definitions, the program, and locked files by their sha256. */
export const FOLDERS = { project: 'project', program: 'seeder', store: 'store' } as const

const file = z.object({
  path: foreignLine.regex(/^(?=(project|seeder|store)\/)(?!.*\/\.\.?(\/|$)).+[^/]$/),
  /** Bytes. */
  size: z.int().nonnegative(),
  sha256: sha256Hex,
  /** Absent for other files. */
  executable: z.literal(true).optional(),
  /** Name and version of a locked file. */
  name: foreignLine.optional(),
})

/**
 * The list of a bundle: all files that a version of an image is built from, enough to build it again without archives or
 * network. A build writes it as `IMAGE-VERSION.bundle.json`, which SHA256SUMS lists and the signature covers; in a bundle it is
 * the first file, `bundle.json`.
 */
export const bundleSchema = z.object({
  schema: z.literal(1),
  image: foreignLine,
  version: foreignLine,
  base: foreignLine,
  /** The chosen minor version; absent for an image without lines. */
  line: foreignLine.optional(),
  /** Seconds since 1970: the time of every file of the bundle. */
  epoch: z.int(),
  lock: z.object({ sha256: sha256Hex }),
  source: z.object({ commit: foreignLine.nullable(), dirty: z.boolean() }),
  /** The disk that it builds. */
  raw: z.object({ sha256: sha256Hex }),
  /** Every other file of the bundle, by path. */
  files: z.array(file).refine((files) => new Set(files.map(({ path }) => path)).size === files.length, {
    error: 'a path is there twice',
  }),
})

export type BundleIndex = z.output<typeof bundleSchema>
export type BundleFile = BundleIndex['files'][number]

/** A bundle's list, with the signed bytes. */
export interface BundleList {
  readonly index: BundleIndex
  readonly text: Buffer
}

/** The list inside a bundle. */
export const INDEX_FILE = 'bundle.json'

/** The name of the list in a build and in a release. */
export function bundleListName({ image, version }: { image: string; version: string }): string {
  return `${image}-${version}.bundle.json`
}

/** The name of the whole bundle. */
export function bundleName({ image, version }: { image: string; version: string }): string {
  return `${image}-${version}.bundle.tar`
}

export function formatBundleList(index: BundleIndex): string {
  return `${JSON.stringify(index, null, 1)}\n`
}

/** @throws UnreadableJson when the text is no valid list */
export function parseBundleList(text: Buffer): BundleList {
  return { text, index: parseJson(text.toString(), bundleSchema) }
}
