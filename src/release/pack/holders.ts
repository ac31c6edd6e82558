import pMap from 'p-map'
import type { Release, Releases } from '../../github/release.ts'
import { describeError } from '../../report/error.ts'
import { packContradictions } from '../agreement.ts'
import type { Contents, Member, Pack } from '../contents.ts'
import { readContents } from '../contents-asset.ts'
import { parseTag } from '../tag.ts'
import { packName } from './layout.ts'

/** So many releases are asked at once what their packs have. */
const AT_ONCE = 4

/** A release whose pack has files, and agrees with the assets that GitHub has. */
export interface Holder {
  readonly release: Release
  readonly pack: Pack
}

/** A release that was asked: its pack, or why nothing is to be had from it. */
export interface Asked {
  readonly release: Release
  readonly bundle: Contents['bundle']
  readonly holder: Holder | undefined
  readonly unusable: string | undefined
}

/** Whether a release has a pack, as far as its assets' names say it. Nothing that is a draft can be relied on. */
export function hasPack({ tag, draft, assets }: Release): boolean {
  const name = packName(tag)
  return (
    !draft &&
    parseTag(tag) !== undefined &&
    assets.some((asset) => asset.name === name || asset.name.startsWith(`${name}.part-`))
  )
}

/** Asks releases what their packs have, in the order given. What cannot be read is no reason to stop. */
export async function askReleases(
  releases: Releases,
  some: readonly Release[],
  signal: AbortSignal,
): Promise<Asked[]> {
  return pMap(some, (release) => ask(releases, release, signal), { concurrency: AT_ONCE })
}

async function ask(releases: Releases, release: Release, signal: AbortSignal): Promise<Asked> {
  try {
    const { bundle } = (await readContents(releases, release, signal)) ?? {}
    if (!bundle?.pack) return { release, bundle, holder: undefined, unusable: undefined }
    const [contradiction] = packContradictions(bundle.pack, release)
    return contradiction === undefined
      ? { release, bundle, holder: { release, pack: bundle.pack }, unusable: undefined }
      : { release, bundle, holder: undefined, unusable: contradiction }
  } catch (error) {
    signal.throwIfAborted()
    const unusable = describeError(error).split('\n')[0]
    return { release, bundle: undefined, holder: undefined, unusable }
  }
}

/** Where the files of a bundle are. */
export interface Placement {
  /** Digest → who has it. */
  readonly holders: ReadonlyMap<string, Holder>
  /** Those that nobody has. */
  readonly missing: readonly Member[]
  /** Why something may be missing: a line for each release that has to have some, and is gone or unusable. */
  readonly reasons: readonly string[]
}

/**
 * Looks for files where their release says that they are, and then in every other release, newest first, as long as some
 * are missing: a copy anywhere is as good, since each file's digest is known.
 */
export async function findMembers(
  releases: Releases,
  all: readonly Release[],
  { release, bundle }: { release: Release; bundle: Contents['bundle'] },
  wanted: readonly Member[],
  signal: AbortSignal,
): Promise<Placement> {
  const published = all.filter(hasPack)
  const byTag = new Map(published.map((one) => [one.tag, one]))
  const named = [...(bundle?.pack ? [release.tag] : []), ...(bundle?.others ?? [])]
  const first = named.flatMap((tag) => byTag.get(tag) ?? [])
  const rest = published.filter(({ tag }) => !named.includes(tag)).toSorted(newestFirst)
  const reasons = named
    .filter((tag) => !byTag.has(tag))
    .map((tag) => `${tag}, which is to have files of it, has no pack any more`)
  const holders = new Map<string, Holder>()
  const missing = new Map(wanted.map((one) => [one.sha256, one]))
  for (const group of [first, ...inGroups(rest)]) {
    if (missing.size === 0) break
    for (const asked of await askReleases(releases, group, signal)) {
      if (asked.unusable !== undefined) reasons.push(`${asked.release.tag}: ${asked.unusable}`)
      if (asked.holder) take(asked.holder, missing, holders)
    }
  }
  return { holders, missing: [...missing.values()], reasons }
}

function inGroups(some: readonly Release[]): Release[][] {
  return Array.from({ length: Math.ceil(some.length / AT_ONCE) }, (_, index) =>
    some.slice(index * AT_ONCE, (index + 1) * AT_ONCE),
  )
}

function take(holder: Holder, missing: Map<string, Member>, holders: Map<string, Holder>): void {
  for (const { sha256, size } of holder.pack.members) {
    if (missing.get(sha256)?.size !== size) continue
    holders.set(sha256, holder)
    missing.delete(sha256)
  }
}

/** By when they were published. */
export function newestFirst(left: Release, right: Release): number {
  return (right.publishedAt ?? '').localeCompare(left.publishedAt ?? '') || right.id - left.id
}
