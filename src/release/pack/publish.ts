import type { Manifest } from '../../build/manifest.ts'
import { bundleListName, contentsOf } from '../../bundle/index.ts'
import type { Release, Releases } from '../../github/release.ts'
import { SeederError, UsageError } from '../../report/error.ts'
import type { Progress } from '../../report/progress.ts'
import { formatBytes } from '../../report/table.ts'
import { readBundleList } from '../bundle-list.ts'
import type { Contents } from '../contents.ts'
import { type LocalRelease, withBundle } from '../local.ts'
import { formatTag } from '../tag.ts'
import { type BundleChoice, choosePack, type PackPlan } from './choose.ts'
import { heldByEarlier } from './earlier.ts'
import { hasPack } from './holders.ts'
import { packName } from './layout.ts'
import { withPack } from './make.ts'

/** Which files of its bundle a release is to bring. */
export interface BundleWish {
  readonly which: Exclude<BundleChoice, 'none'>
  /** Seeder's cache folder, with the package store. */
  readonly cache: string
  /** Bytes of a part. */
  readonly partSize?: number | undefined
}

/**
 * Adds to a release the files of its bundle, which are there while `use` runs. Without a wish, or a list, it is as it was.
 * Throws SeederError when a file is nowhere to be had.
 */
export async function withPublishedBundle<T>(
  releases: Releases,
  all: readonly Release[],
  local: LocalRelease,
  { manifest, wish }: { manifest: Manifest; wish: BundleWish | undefined },
  progress: Progress,
  signal: AbortSignal,
  use: (local: LocalRelease) => Promise<T>,
): Promise<T> {
  if (wish === undefined) return use(local)
  const text = local.small.get(bundleListName(manifest))
  if (text === undefined) {
    if (wish.which === 'new') {
      progress.note('the build has no list of what it was made from: its bundle is not published')
      return use(local)
    }
    throw new UsageError(`${bundleListName(manifest)} is not in the build: an older Seeder made it`, {
      fix: 'build it again, or leave --bundle away',
    })
  }
  progress.phase('look for the files of its bundle')
  const { index } = readBundleList(text, manifest)
  const held =
    wish.which === 'whole'
      ? new Map<string, string>()
      : await heldByEarlier(releases, all, (line) => progress.note(line), signal)
  const { members, others } = choosePack(index.files, held)
  progress.note(describePlan({ members, others }, contentsOf(index.files).length))
  if (members.length === 0) return use(withBundle(local, { others: [...others] }, []))
  return withPack(packName(formatTag(manifest)), members, wish, ({ file, assets }) =>
    use(withBundle(local, { pack: file, others: [...others] }, assets)),
  )
}

function describePlan({ members, others }: PackPlan, total: number): string {
  const bytes = members.reduce((sum, { size }) => sum + size, 0)
  const here = `${members.length} of the bundle’s ${total} files, ${formatBytes(bytes)}, go into its pack`
  return others.length === 0 ? here : `${here}; the others are in ${others.join(', ')}`
}

/**
 * Looks, right before a release is published, whether those that it refers to are there still.
 * Throws SeederError with the first that is not.
 */
export async function requireOthers(releases: Releases, { bundle }: Contents): Promise<void> {
  if (!bundle || bundle.others.length === 0) return
  const there = new Set((await releases.list()).filter(hasPack).map(({ tag }) => tag))
  const gone = bundle.others.find((tag) => !there.has(tag))
  if (gone === undefined) return
  // The next run brings these files itself.
  throw new SeederError(`${gone}, which has files of this bundle, was deleted meanwhile`)
}
