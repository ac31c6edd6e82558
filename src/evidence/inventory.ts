import { z } from 'zod'
import { SeederError } from '../report/error.ts'
import { foreignLine, sha256Hex } from '../report/text-schemas.ts'

/** The kinds of files, by the letter that `find -printf %y` prints. */
const kinds = {
  f: 'file',
  d: 'directory',
  l: 'link',
  c: 'character device',
  b: 'block device',
  p: 'pipe',
} as const

const entrySchema = z.object({
  /** Absolute, as in the running machine. */
  path: foreignLine.regex(/^\//),
  type: z.enum(Object.values(kinds)),
  /** Four octal digits. */
  mode: foreignLine.regex(/^[0-7]{4}$/),
  /** Numbers: UID:GID. */
  ids: foreignLine.regex(/^\d+:\d+$/),
  /** Bytes, and SHA-256, of a file. */
  size: z.int().nonnegative().optional(),
  sha256: sha256Hex.optional(),
  /** The target of a link, as stored in it. */
  target: foreignLine.optional(),
  /**
   * `package:NAME`, `artifact:NAME`, `container:NAME`, or `definition` for files of the image's definition. null when the
   * owner is unknown; absent for directories, which several owners may share.
   */
  owner: foreignLine.nullable().optional(),
})

/** `IMAGE-VERSION.files.json`: every path of the finished image, sorted. */
export const inventorySchema = z.object({
  schema: z.literal(1),
  image: foreignLine,
  version: foreignLine,
  files: z.array(entrySchema),
})

export type FileInventory = z.output<typeof inventorySchema>
export type FileEntry = z.output<typeof entrySchema>

/**
 * Shell text that lists the files below `start` in the current folder for `parseListing`: the file `listing` gets three
 * fields for each path, `digests` the output of `sha256sum -z`. Fields end with NUL, because names can have any other
 * character.
 */
export function listFiles(start: string, { listing, digests }: { listing: string; digests: string }): string {
  return [
    `find ${start} -mindepth 1 -printf '%y %m %U:%G %s\\0%p\\0%l\\0' > ${listing}`,
    `find ${start} -type f -print0 | xargs -0 -r sha256sum -z > ${digests}`,
  ].join('\n')
}

/**
 * Parses the output of `listFiles`; owners are added later.
 * @throws SeederError when the image has a file of another kind, such as a socket
 */
export function parseListing(listing: string, digests: string): FileEntry[] {
  const known = new Map(
    digests
      .split('\0')
      .filter(Boolean)
      .map((line) => [absolute(line.slice(66)), line.slice(0, 64)]),
  )
  const fields = listing.split('\0')
  return Array.from({ length: Math.floor(fields.length / 3) }, (_, index) => {
    const [facts = '', name = '', target = ''] = fields.slice(index * 3)
    const [letter = '', mode = '', ids = '', size = ''] = facts.split(' ')
    const path = absolute(name)
    const type = kinds[letter as keyof typeof kinds] as FileEntry['type'] | undefined
    const digest = known.get(path)
    if (type === undefined || (type === 'file' && digest === undefined)) {
      throw new SeederError(`the image has something at ${path} that cannot be listed (${facts})`, {
        fix: 'remove it from the image’s tree or packages: an image has files, folders, links and devices',
      })
    }
    return {
      path,
      type,
      mode: mode.padStart(4, '0'),
      ids,
      ...(type === 'file' ? { size: Number(size), sha256: digest } : {}),
      ...(type === 'link' ? { target } : {}),
    }
  })
}

function absolute(path: string): string {
  return `/${path.replace(/^\.?\//, '')}`
}

/** The inventory as text, an entry per line, so that any tool can compare two of them. */
export function formatInventory({ files, ...head }: FileInventory): string {
  const fields = Object.entries(head).map(
    ([key, value]) => `  ${JSON.stringify(key)}: ${JSON.stringify(value)},\n`,
  )
  return `{\n${fields.join('')}  "files": [\n${files.map((entry) => `    ${JSON.stringify(entry)}`).join(',\n')}\n  ]\n}\n`
}

/** Paths of files without an owner. */
export function unownedOf({ files }: Pick<FileInventory, 'files'>): string[] {
  return files.filter(({ type, owner }) => type !== 'directory' && owner == null).map(({ path }) => path)
}
