import type { Manifest } from '../../build/manifest.ts'
import { SIGNATURE_FILE } from '../../build/sums.ts'
import type { Release, Releases } from '../../github/release.ts'
import { describeError, SeederError } from '../../report/error.ts'
import type { Progress } from '../../report/progress.ts'
import { standings } from '../channel/channels.ts'
import { CONTENTS_FILE, readContents } from '../format/contents.ts'
import { formatTag } from '../format/tag.ts'
import { verifyRelease } from '../verify/verify-release.ts'

/** A build that is to be published. */
interface Wanted {
  readonly manifest: Manifest
  /** Whether it is to have a signature. */
  readonly signed: boolean
}

/**
 * The published release that makes a build superfluous: the one of its version, or the highest version of the image
 * when that has the same disk. What is compared is the disk alone: a manifest and a report have times in them, which are
 * others whenever one builds and tests again.
 * Throws SeederError when its version is published with another disk, without the signature that is wanted, or is not whole.
 */
export async function findPublished(
  releases: Releases,
  all: readonly Release[],
  wanted: Wanted,
  progress: Progress,
  signal: AbortSignal,
): Promise<Release | undefined> {
  const { manifest } = wanted
  const tag = formatTag(manifest)
  const same = all.find((release) => release.tag === tag && !release.draft)
  if (same) {
    if ((await requireSound(releases, same, wanted, signal)) !== manifest.raw.sha256) {
      throw new SeederError(
        `${tag} is published with another disk than that of this build`,
        withNewRevision(same),
      )
    }
    progress.note(`${tag} is published already, with the same disk: nothing to publish`)
    return same
  }
  const last = standings(all).get(manifest.image)?.versions[0]?.release
  if (!last) return undefined
  try {
    const { raw } = (await readContents(releases, last, signal)) ?? {}
    if (raw?.sha256 !== manifest.raw.sha256) return undefined
    await requireSound(releases, last, wanted, signal)
    progress.note(`${last.tag} has the same disk: nothing to publish`)
    return last
  } catch (error) {
    signal.throwIfAborted()
    // Another version than that one is what its error requires.
    progress.note(`${last.tag} does not stand for this build: ${describeError(error).split('\n')[0]}`)
    return undefined
  }
}

/**
 * Checks that a release is whole, as its promotion will, and has a signature where one is wanted; by whom is looked at
 * when it is promoted. Returns its raw digest.
 */
async function requireSound(
  releases: Releases,
  release: Release,
  { signed }: Wanted,
  signal: AbortSignal,
): Promise<string> {
  const contents = await readContents(releases, release, signal)
  if (!contents) {
    throw new SeederError(`${release.tag} is published without ${CONTENTS_FILE}`, withNewRevision(release))
  }
  if (signed && !contents.files.some(({ name }) => name === SIGNATURE_FILE)) {
    throw new SeederError(`${release.tag} is published without a signature`, withNewRevision(release))
  }
  const trust = { allowedSigners: undefined, allowUnsigned: true }
  return (await verifyRelease(releases, release, trust, signal)).manifest.raw.sha256
}

function withNewRevision({ url }: Release): { fix: string } {
  return {
    fix: `a published version stays as it is (${url}): raise the revision in image.yaml, lock, build, test and publish that`,
  }
}
