import type { Manifest } from '../../build/manifest.ts'
import { SIGNATURE_FILE } from '../../build/sums.ts'
import type { Release, Releases } from '../../github/release.ts'
import { describeError, SeederError } from '../../report/error.ts'
import type { RunContext } from '../../report/progress.ts'
import { channelsByImage } from '../channel/channels.ts'
import { CONTENTS_FILE, readContents } from '../format/contents.ts'
import { formatTag } from '../format/tag.ts'
import { verifyRelease } from '../verify/verify-release.ts'

/** A build to publish. */
interface Wanted {
  readonly manifest: Manifest
  /** Whether it will have a signature. */
  readonly signed: boolean
}

/**
 * Finds the published release with the disk of a build: that of its version, or the highest version of the image. Only
 * the disk is compared: the times in manifest and report differ between builds.
 * @throws SeederError when its version is published with another disk, without the wanted signature, or incomplete
 */
export async function findPublished(
  releases: Releases,
  all: readonly Release[],
  wanted: Wanted,
  { progress, signal }: RunContext,
): Promise<Release | undefined> {
  const { manifest } = wanted
  const tag = formatTag(manifest)
  const same = all.find((release) => release.tag === tag && !release.draft)
  if (same) {
    if ((await verifiedDisk(releases, same, wanted, signal)) !== manifest.raw.sha256) {
      throw new SeederError(
        `${tag} is published with another disk than that of this build`,
        withNewRevision(same),
      )
    }
    progress.note(`${tag} is published already, with the same disk: nothing to publish`)
    return same
  }
  const last = channelsByImage(all).get(manifest.image)?.versions[0]?.release
  if (!last) return undefined
  try {
    const { raw } = (await readContents(releases, last, signal)) ?? {}
    if (raw?.sha256 !== manifest.raw.sha256) return undefined
    await verifiedDisk(releases, last, wanted, signal)
    progress.note(`${last.tag} has the same disk: nothing to publish`)
    return last
  } catch (error) {
    signal.throwIfAborted()
    // The error is no reason not to publish another version.
    progress.note(`${last.tag} does not replace this build: ${describeError(error).split('\n')[0]}`)
    return undefined
  }
}

/** Verifies a release as its promotion does, except who signed it. Returns the digest of its raw disk. */
async function verifiedDisk(
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
    fix: `a published version never changes (${url}): raise the revision in image.yaml, lock, build, test and publish that`,
  }
}
