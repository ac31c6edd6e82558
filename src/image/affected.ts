import { z } from 'zod'

/** What was changed, and how a file was before. */
export interface Changes {
  /** Paths below the folder in question; undefined when there are too many to name them all. */
  paths(): Promise<readonly string[] | undefined>
  /** The text of a file before the change; undefined when it was not there. */
  before(path: string): Promise<string | undefined>
}

/** An image, as far as the question goes what it is made of. */
export interface ImageSources {
  readonly name: string
  /** The base it is built on, and the one its tools come from. */
  readonly bases: readonly string[]
  /** The name of its lock's file; undefined when there is no lock, and it cannot be built. */
  readonly lock: string | undefined
}

/** A changed file, its path below the project's folder. */
export interface ChangedPath {
  readonly path: string
  /** Of a lock: whether it locks the same as before, and only its text is another. */
  readonly sameLock?: boolean
}

/** An image that has to be built, and the changed paths that say so. */
export interface AffectedImage {
  readonly image: string
  readonly paths: readonly string[]
}

// What every image is made of: the program, in both forms, the files of all images, and the site.
const SHARED = /^(src\/|dist\/|images\/common\/|platform\.yaml$)/
// Texts for people, and what a host checks, are in no image.
const OUTSIDE = /\.md$|^images\/[^/]+\/check-values$/
const ANY_LOCK = /^image\.(?:.+\.)?lock\.json$/

/**
 * The images that `changes` make different, in the order of `images`. A lock of another base or line than the image's
 * own counts for nothing: what is built here is the image's own.
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

/** The matrix of a workflow's job that builds images: `{"include":[{"image":"haproxy"}]}`. */
export const matrixSchema = z.object({ include: z.array(z.object({ image: z.string() })) })

export function matrixOf(images: readonly string[]): z.output<typeof matrixSchema> {
  return { include: images.map((image) => ({ image })) }
}
