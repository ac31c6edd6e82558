import { UsageError } from '../report/error.ts'

/** What a release is of: one version of one image. Its tag is `IMAGE-VERSION`, as in `haproxy-3.0.11-1`. */
export interface Tag {
  readonly image: string
  /** `<upstream version>-<revision>`, as in `3.0.11-1`. */
  readonly version: string
}

const TAG = /^([a-z][a-z0-9]*(?:-[a-z][a-z0-9]*)*)-(\d[\w.]*-\d+)$/

/** The image and version of a tag; undefined for a tag that is not of an image. */
export function parseTag(tag: string): Tag | undefined {
  const [, image, version] = TAG.exec(tag) ?? []
  return image === undefined || version === undefined ? undefined : { image, version }
}

/** As `parseTag`, of what a person wrote. Throws UsageError. */
export function requireTag(tag: string): Tag {
  const parsed = parseTag(tag)
  if (parsed) return parsed
  throw new UsageError(`${tag} is not the tag of an image’s release`, {
    fix: 'a tag is IMAGE-VERSION, as in haproxy-3.0.11-1',
  })
}

export function formatTag({ image, version }: Tag): string {
  return `${image}-${version}`
}

/** Orders versions, older first: numbers as numbers, and the revision last. */
export function compareVersions(left: string, right: string): number {
  const words = (version: string) => version.split(/[.-]|(?<=\d)(?=\D)|(?<=\D)(?=\d)/)
  const [a, b] = [words(left), words(right)]
  for (let index = 0; index < Math.max(a.length, b.length); index++) {
    const [x = '', y = ''] = [a[index], b[index]]
    if (x === y) continue
    const numbers = /^\d+$/.test(x) && /^\d+$/.test(y)
    // A word where the other has a number is a pre-release: 1.0rc1 is older than 1.0.1.
    if (!numbers && /^\d*$/.test(x) !== /^\d*$/.test(y)) return /^\d+$/.test(x) ? 1 : -1
    return numbers ? Number(x) - Number(y) : x < y ? -1 : 1
  }
  return 0
}
