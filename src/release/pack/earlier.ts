import type { Release, Releases } from '../../github/release.ts'
import { type Asked, askReleases, hasPack, newestFirst } from './holders.ts'

/** A request for each: with more, a day with many releases would come near what GitHub lets a job ask in an hour. */
const MOST_ASKED = 100

/**
 * Digest → the oldest release that a new one can refer to for that file. Only full releases count: a pre-release is a
 * candidate, which may be deleted when it is not good enough. Asked are the newest ones, and those they refer to, so all
 * that the images of today are built from is found. `note` is told of one that is of no use.
 */
export async function heldByEarlier(
  releases: Releases,
  all: readonly Release[],
  note: (text: string) => void,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, string>> {
  const full = all.filter((release) => hasPack(release) && !release.prerelease).toSorted(newestFirst)
  const newest = await askReleases(releases, full.slice(0, MOST_ASKED), signal)
  const named = new Set(newest.flatMap(({ bundle }) => bundle?.others ?? []))
  const older = await askReleases(
    releases,
    full.slice(MOST_ASKED).filter(({ tag }) => named.has(tag)),
    signal,
  )
  const held = new Map<string, string>()
  for (const { release, holder, unusable } of ofOldestFirst([...newest, ...older])) {
    if (unusable !== undefined) note(`the files in ${release.tag} are not counted on: ${unusable}`)
    for (const { sha256 } of holder?.pack.members ?? []) {
      if (!held.has(sha256)) held.set(sha256, release.tag)
    }
  }
  return held
}

function ofOldestFirst(asked: readonly Asked[]): Asked[] {
  return asked.toSorted((left, right) => newestFirst(right.release, left.release))
}
