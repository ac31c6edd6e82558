/**
 * The result of a check: `right`, `wrong`, or `missing`, which prevents promotion; `open` is a claim that was not checked
 * here, and `differs` a change since the compared version.
 */
export type Mark = 'right' | 'wrong' | 'missing' | 'open' | 'differs'

/** The answer to a question of the person who decides about an image. */
export interface Answer {
  readonly question: string
  readonly mark: Mark
  /** A few words. */
  readonly text: string
  /** A sentence or two. */
  readonly reason: string
}
