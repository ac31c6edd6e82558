import { z } from 'zod'

/** The changes of a branch or an event. */
export interface Changes {
  /** The changed paths below the project; undefined when there are too many to list. */
  paths(): Promise<readonly string[] | undefined>
  /** The text of a file before the change; undefined when it did not exist. */
  before(path: string): Promise<string | undefined>
}

/** An image and its sources. */
export interface ImageSources {
  readonly name: string
  /** Its base, and the base of its tools. */
  readonly bases: readonly string[]
  /** The file name of its lock; undefined when there is no lock, so that it cannot be built. */
  readonly lock: string | undefined
}

/** A changed file, with its path below the project. */
export interface ChangedPath {
  readonly path: string
  /** For a lock: whether only its format changed. */
  readonly sameLock?: boolean
}

/** An image that has to be built, and the changed paths that affect it. */
export interface AffectedImage {
  readonly image: string
  readonly paths: readonly string[]
}

// Sources of every image: the program and its bundle, the common files, and the site.
const SHARED = /^(src\/|dist\/|images\/common\/|platform\.yaml$)/
// Texts for people, and what a host checks, are in no image.
const OUTSIDE = /\.md$|^images\/[^/]+\/check-values$/
const ANY_LOCK = /^image\.(?:.+\.)?lock\.json$/

/**
 * The images that `changes` affect, in the order of `images`. Locks of another base or line are ignored: only the default
 * variant is built.
 */
export function affectedImages(
  images: readonly ImageSources[],
  changes: readonly ChangedPath[],
): AffectedImage[] {
  return images.flatMap(({ name, bases, lock }) => {
    const paths = changes.filter((change) => isPartOf(change)).map(({ path }) => path)
    return paths.length === 0 ? [] : [{ image: name, paths }]

    function isPartOf({ path, sameLock }: ChangedPath): boolean {
      if (OUTSIDE.test(path) || sameLock) return false
      if (SHARED.test(path)) return true
      const base = /^images\/base\/(.+)\.yaml$/.exec(path)?.[1]
      if (base !== undefined) return bases.includes(base)
      const own = `images/${name}/`
      if (!path.startsWith(own)) return false
      const file = path.slice(own.length)
      return !ANY_LOCK.test(file) || file === lock
    }
  })
}

/** The matrix of the workflow job that builds images: `{"include":[{"image":"haproxy"}]}`. */
export const matrixSchema = z.object({ include: z.array(z.object({ image: z.string() })) })

export function matrixOf(images: readonly string[]): z.output<typeof matrixSchema> {
  return { include: images.map((image) => ({ image })) }
}
