import { UsageError } from '../../report/error.ts'

/** The image and version of a release. Its tag is `IMAGE-VERSION`, as in `haproxy-3.0.11-1`. */
export interface Tag {
  readonly image: string
  /** `<upstream version>-<revision>`, as in `3.0.11-1`. */
  readonly version: string
}

const TAG = /^([a-z][a-z0-9]*(?:-[a-z][a-z0-9]*)*)-(\d[\w.]*-\d+)$/

/** Undefined for a tag of anything but an image. */
export function parseTag(tag: string): Tag | undefined {
  const [, image, version] = TAG.exec(tag) ?? []
  return image === undefined || version === undefined ? undefined : { image, version }
}

/**
 * As `parseTag`.
 * @throws UsageError instead
 */
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

/** Orders versions, older first: by the upstream version word by word, then by the revision as a number. */
export function compareVersions(left: string, right: string): number {
  const [a, b] = [splitRevision(left), splitRevision(right)]
  return compareUpstream(a.upstream, b.upstream) || a.revision - b.revision
}

function splitRevision(version: string): { upstream: string; revision: number } {
  const [, upstream = version, revision = '0'] = /^(.*)-(\d+)$/.exec(version) ?? []
  return { upstream, revision: Number(revision) }
}

function compareUpstream(left: string, right: string): number {
  const words = (version: string) => version.split(/[.-]|(?<=\d)(?=\D)|(?<=\D)(?=\d)/)
  const isWord = (text: string) => /\D/.test(text)
  const [a, b] = [words(left), words(right)]
  for (let index = 0; index < Math.max(a.length, b.length); index++) {
    const [x, y] = [a[index] ?? '', b[index] ?? '']
    // A word where the other has a number or nothing is a pre-release: 1.0rc1 is older than 1.0 and 1.0.1.
    if (isWord(x) !== isWord(y)) return isWord(x) ? -1 : 1
    if (isWord(x) && x !== y) return x < y ? -1 : 1
    // A longer version is newer, also with a zero: 1.0 is older than 1.0.0.
    if (!isWord(x) && x !== y) {
      const order = x === '' || y === '' ? x.length - y.length : Number(x) - Number(y)
      if (order !== 0) return order
    }
  }
  return 0
}
