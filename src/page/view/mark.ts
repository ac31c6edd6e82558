/**
 * How something stands: it was checked and is right, or wrong; it is missing, and an image without it is not promoted; or
 * it is only said, and nobody has checked it here; or it is other than it was.
 */
export type Mark = 'right' | 'wrong' | 'missing' | 'open' | 'differs'

/** One of the questions of whoever decides about an image, with what is known. */
export interface Answer {
  readonly question: string
  readonly mark: Mark
  /** The answer, in a few words. */
  readonly words: string
  /** What stands behind it. */
  readonly because: string
}
