import { z } from 'zod'
import { readIntactOutput } from '../build/output.ts'
import type { Releases } from '../github/release.ts'
import { SeederError } from '../report/error.ts'
import type { Progress } from '../report/progress.ts'
import { chooseRelease } from './choice.ts'
import { makeConfirmation, withConfirmation } from './confirmation.ts'
import { readFinishedRelease } from './finished.ts'
import { formatTag, requireTag } from './tag.ts'

export interface ConfirmRequest {
  readonly tag: string
  /** The folder of the second build. */
  readonly folder: string
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

/**
 * Says of a release, signed, that a second build gave the same disk. It is written into the release's text: files cannot
 * be added to an immutable one.
 * Throws SeederError when the disk, or the lock it was built from, is another one, or there is no such release.
 */
export async function confirm(
  releases: Releases,
  { tag, folder, key, builder }: ConfirmRequest,
  progress: Progress,
  signal: AbortSignal,
): Promise<ConfirmResult> {
  progress.phase('read the build')
  const manifest = await readIntactOutput(folder)
  if (formatTag(manifest) !== tag) {
    throw new SeederError(`${folder} is a build of ${formatTag(manifest)}, not of ${tag}`, {
      fix: `check out the commit of ${tag}, and build that`,
    })
  }
  progress.phase(`read ${tag}`)
  const { image, version } = requireTag(tag)
  const release = chooseRelease(await releases.list(), image, version, releases.repository)
  const published = await readFinishedRelease(releases, release, signal)
  if (published?.manifest.raw.sha256 !== manifest.raw.sha256) {
    const theirs = published ? `has the disk ${published.manifest.raw.sha256}` : 'has no manifest'
    throw new SeederError(`${tag} ${theirs}; of this build came ${manifest.raw.sha256}`, {
      fix: `do not promote it before you know why: seeder diff ${tag} ${folder}`,
    })
  }
  if (published.manifest.lock.sha256 !== manifest.lock.sha256) {
    throw new SeederError(`${tag} was built from another lock than ${folder}`, {
      fix: `check out the commit of ${tag}, and build that`,
    })
  }
  progress.phase(`confirm ${tag}`)
  const body = withConfirmation(release.body, await makeConfirmation(manifest, builder, key))
  const changed = body !== release.body
  if (changed) await releases.update(release.id, { body })
  return { tag, url: release.url, builder, rawSha256: manifest.raw.sha256, changed }
}
