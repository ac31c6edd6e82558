import { type BundleFile, contentsOf } from '../../bundle/index.ts'

/** Which files of its bundle a release brings: those that no full release has yet, all of them, or none. */
export const BUNDLE_CHOICES = ['new', 'whole', 'none'] as const
export type BundleChoice = (typeof BUNDLE_CHOICES)[number]

/** What a release is to have of its bundle. */
export interface PackPlan {
  /** The files that go into its own pack, in the pack's order. */
  readonly members: readonly BundleFile[]
  /** The tags of the releases that have the others, sorted. */
  readonly others: readonly string[]
}

/**
 * Which files of a bundle a release has to bring, and which releases have the others.
 * @param held digest → tag of a release whose pack has that file
 */
export function choosePack(files: readonly BundleFile[], held: ReadonlyMap<string, string>): PackPlan {
  const contents = contentsOf(files)
  const others = contents.flatMap(({ sha256 }) => held.get(sha256) ?? [])
  return {
    members: contents.filter(({ sha256 }) => !held.has(sha256)),
    others: [...new Set(others)].sort(),
  }
}
