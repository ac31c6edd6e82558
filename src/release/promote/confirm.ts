import { z } from 'zod'
import { readIntactOutput } from '../../build/output.ts'
import type { Releases } from '../../github/release.ts'
import { SeederError } from '../../report/error.ts'
import type { RunContext } from '../../report/progress.ts'
import { chooseRelease } from '../channel/choice.ts'
import { readReleaseRecord } from '../format/build-record.ts'
import { formatTag, requireTag } from '../format/tag.ts'
import { makeConfirmation, withConfirmation } from './confirmation.ts'

/** The facts of a second build that are compared and signed: the job with the key does not need its files. */
export interface SecondBuild {
  /** sha256 of the raw disk. */
  readonly disk: string
  /** sha256 of the lock, as in the manifest. */
  readonly lock: string
}

export interface ConfirmRequest {
  readonly tag: string
  readonly build: SecondBuild
  /** The text of the second builder's private key. */
  readonly key: string
  /** A URI of who is responsible for the second build. */
  readonly builder: string
}

export const confirmResultSchema = z
  .object({
    tag: z.string(),
    /** The page for people. */
    url: z.string(),
    builder: z.string(),
    rawSha256: z.string(),
    /** False when this builder had confirmed it before. */
    changed: z.boolean(),
  })
  .readonly()

export type ConfirmResult = z.output<typeof confirmResultSchema>

/**
 * Reads the second build in a folder.
 * @throws SeederError when it is damaged, or of another version than `tag`
 */
export async function readSecondBuild(folder: string, tag: string): Promise<SecondBuild> {
  const manifest = await readIntactOutput(folder)
  if (formatTag(manifest) === tag) return { disk: manifest.raw.sha256, lock: manifest.lock.sha256 }
  throw new SeederError(`${folder} is a build of ${formatTag(manifest)}, not of ${tag}`, withItsCommit(tag))
}

/**
 * Adds a signed confirmation that a second build gave the same disk to the body of a release: no asset can be added
 * to an immutable release.
 * @throws SeederError when the disk or the lock differs, or there is no such release
 */
export async function confirm(
  releases: Releases,
  { tag, build, key, builder }: ConfirmRequest,
  { progress, signal }: RunContext,
): Promise<ConfirmResult> {
  progress.phase(`read ${tag}`)
  const { image, version } = requireTag(tag)
  const release = chooseRelease(await releases.list(), image, version, releases.repository)
  const published = await readReleaseRecord(releases, release, signal)
  if (published?.manifest.raw.sha256 !== build.disk) {
    const theirs = published ? `has the disk ${published.manifest.raw.sha256}` : 'has no manifest'
    throw new SeederError(`${tag} ${theirs}; the second build has ${build.disk}`, {
      fix: `do not promote it before you know the reason: build it yourself, then seeder diff ${tag} DIR`,
    })
  }
  if (published.manifest.lock.sha256 !== build.lock) {
    throw new SeederError(`${tag} was built from another lock than the second build`, withItsCommit(tag))
  }
  progress.phase(`confirm ${tag}`)
  // The image and version of the tag: the release's manifest is not verified.
  const statement = { image, version, raw: { sha256: build.disk }, lock: { sha256: build.lock } }
  const body = withConfirmation(release.body, await makeConfirmation(statement, builder, key))
  const changed = body !== release.body
  if (changed) await releases.update(release.id, { body })
  return { tag, url: release.url, builder, rawSha256: build.disk, changed }
}

function withItsCommit(tag: string): { fix: string } {
  return { fix: `check out the commit of ${tag}, and build that` }
}
