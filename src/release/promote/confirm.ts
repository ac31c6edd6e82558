import { z } from 'zod'
import { readIntactOutput } from '../../build/output.ts'
import type { Releases } from '../../github/release.ts'
import { SeederError } from '../../report/error.ts'
import type { Progress } from '../../report/progress.ts'
import { chooseRelease } from '../channel/choice.ts'
import { readFinishedRelease } from '../format/build-record.ts'
import { formatTag, requireTag } from '../format/tag.ts'
import { makeConfirmation, withConfirmation } from './confirmation.ts'

/** What a second build says of itself: all that is compared and signed, so that a key can stay away from what was built. */
export interface SecondBuild {
  /** sha256 of the raw disk. */
  readonly disk: string
  /** sha256 of the lock it was built from, as a manifest has it. */
  readonly lock: string
}

export interface ConfirmRequest {
  readonly tag: string
  readonly build: SecondBuild
  /** The second builder's private key, its text. */
  readonly key: string
  /** A URI that says who answers for the second build. */
  readonly builder: string
}

export const confirmResultSchema = z
  .object({
    tag: z.string(),
    /** The page for people. */
    url: z.string(),
    builder: z.string(),
    rawSha256: z.string(),
    /** False when this builder had said so before. */
    changed: z.boolean(),
  })
  .readonly()

export type ConfirmResult = z.output<typeof confirmResultSchema>

/** Reads the second build in a folder. Throws SeederError when it is damaged, or of another version than `tag`. */
export async function readSecondBuild(folder: string, tag: string): Promise<SecondBuild> {
  const manifest = await readIntactOutput(folder)
  if (formatTag(manifest) === tag) return { disk: manifest.raw.sha256, lock: manifest.lock.sha256 }
  throw new SeederError(`${folder} is a build of ${formatTag(manifest)}, not of ${tag}`, withItsCommit(tag))
}

/**
 * Says of a release, signed, that a second build gave the same disk. It is written into the release's text: files cannot
 * be added to an immutable one.
 * Throws SeederError when the disk, or the lock it was built from, is another one, or there is no such release.
 */
export async function confirm(
  releases: Releases,
  { tag, build, key, builder }: ConfirmRequest,
  progress: Progress,
  signal: AbortSignal,
): Promise<ConfirmResult> {
  progress.phase(`read ${tag}`)
  const { image, version } = requireTag(tag)
  const release = chooseRelease(await releases.list(), image, version, releases.repository)
  const published = await readFinishedRelease(releases, release, signal)
  if (published?.manifest.raw.sha256 !== build.disk) {
    const theirs = published ? `has the disk ${published.manifest.raw.sha256}` : 'has no manifest'
    throw new SeederError(`${tag} ${theirs}; of the second build came ${build.disk}`, {
      fix: `do not promote it before you know why: build it yourself, then seeder diff ${tag} DIR`,
    })
  }
  if (published.manifest.lock.sha256 !== build.lock) {
    throw new SeederError(`${tag} was built from another lock than the second build`, withItsCommit(tag))
  }
  progress.phase(`confirm ${tag}`)
  // Of the tag, not of what the release's manifest says that it is of.
  const said = { image, version, raw: { sha256: build.disk }, lock: { sha256: build.lock } }
  const body = withConfirmation(release.body, await makeConfirmation(said, builder, key))
  const changed = body !== release.body
  if (changed) await releases.update(release.id, { body })
  return { tag, url: release.url, builder, rawSha256: build.disk, changed }
}

function withItsCommit(tag: string): { fix: string } {
  return { fix: `check out the commit of ${tag}, and build that` }
}
