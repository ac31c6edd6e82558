import { z } from 'zod'
import type { Release, ReleaseChange, Releases } from '../../github/release.ts'
import { SeederError, StoppedError, UsageError } from '../../report/error.ts'
import type { RunContext } from '../../report/progress.ts'
import { type Channels, channelsByImage, DEMOTED_MARKER, isDemoted } from '../channel/channels.ts'
import { compareVersions, requireTag } from '../format/tag.ts'
import type { SignatureCheck } from '../signature/signers.ts'
import { verifyRelease } from '../verify/verify-release.ts'
import { confirmers, requireBuilders } from './confirmation.ts'

/** The requirements of a promotion. */
export interface PromotionPolicy extends SignatureCheck {
  /** The number of builders that got the same disk; whoever signed the release is one of them. */
  readonly builders: number
}

export const promoteResultSchema = z
  .object({
    tag: z.string(),
    /** The page for people. */
    url: z.string(),
    /** False when it was done before. */
    changed: z.boolean(),
    /** The tag of the version that is promoted now; null without one. */
    promoted: z.string().nullable(),
    /** Who signed it; null when the signature was not verified. */
    signer: z.string().nullable(),
  })
  .readonly()

export type PromoteResult = z.output<typeof promoteResultSchema>

/**
 * Verifies a candidate and makes it the promoted version of its image. A version that is already promoted is verified,
 * too.
 * @throws SeederError when the verification fails; UsageError when there is no such release
 */
export async function promote(
  releases: Releases,
  tag: string,
  policy: PromotionPolicy,
  { progress, signal }: RunContext,
): Promise<PromoteResult> {
  progress.phase('read the releases')
  const { release, channels, version } = await findRelease(releases, tag)
  if (!release.prerelease) {
    if (channels.promoted?.id !== release.id) {
      progress.note(`${tag} was promoted before; ${channels.promoted?.tag} is newer, and is the promoted one`)
    }
    // Anybody who may write can make a release a full one.
    progress.phase(`verify ${tag}`)
    const signer = await verify(releases, release, policy, signal)
    return { ...resultOf(release, channels, false), signer: signer ?? null }
  }
  const newer = channels.versions.find(
    (published) =>
      published.release.id === channels.promoted?.id && compareVersions(version, published.version) < 0,
  )
  if (newer) {
    throw new SeederError(`${tag} is older than ${newer.release.tag}, which is promoted`, {
      fix: `demote that first: seeder promote ${newer.release.tag} --demote`,
    })
  }
  progress.phase(`verify ${tag}`)
  const signer = await verify(releases, release, policy, signal)

  progress.phase(`promote ${tag}`)
  const body = release.body.replaceAll(`${DEMOTED_MARKER}\n`, '').replaceAll(DEMOTED_MARKER, '')
  const change = { body, prerelease: false, makeLatest: true }
  return { ...(await changeRelease(releases, release, change, signal)), signer: signer ?? null }
}

/** Verifies a release and its confirmations. Returns who signed it, if the signature was verified. */
async function verify(
  releases: Releases,
  release: Release,
  policy: PromotionPolicy,
  signal: AbortSignal,
): Promise<string | undefined> {
  const { manifest, signer } = await verifyRelease(releases, release, policy, signal)
  if (policy.builders > 1) {
    const { allowedSigners } = policy
    const confirmed =
      allowedSigners === undefined ? [] : await confirmers(release, manifest, allowedSigners, signer)
    requireBuilders(release.tag, policy.builders, signer, confirmed)
  }
  return signer
}

/**
 * Demotes a promoted version: the newest of the other promoted ones replaces it.
 * @throws SeederError when it was never promoted; UsageError when there is no such release
 */
export async function demote(
  releases: Releases,
  tag: string,
  { progress, signal }: RunContext,
): Promise<PromoteResult> {
  progress.phase('read the releases')
  const { release, channels } = await findRelease(releases, tag)
  if (isDemoted(release)) return resultOf(release, channels, false)
  if (release.prerelease) {
    throw new SeederError(`${tag} is not promoted, so it cannot be demoted`, {
      fix: `promoted is ${channels.promoted?.tag ?? 'no version of it'}`,
    })
  }
  progress.phase(`demote ${tag}`)
  const body = `${release.body.trimEnd()}\n${DEMOTED_MARKER}\n`
  return changeRelease(releases, release, { body, prerelease: true, makeLatest: false }, signal)
}

/**
 * Promotes or demotes a release. The response has its new state; a list of GitHub may be some seconds old.
 * @throws SeederError when the response does not show the change; StoppedError when `signal` ended it and the change
 * may be made
 */
async function changeRelease(
  releases: Releases,
  before: Release,
  change: ReleaseChange & { readonly prerelease: boolean },
  signal: AbortSignal,
): Promise<PromoteResult> {
  const { id, tag, url } = before
  const done = change.prerelease ? 'demoted' : 'promoted'
  let release: Release | undefined
  try {
    release = await releases.update(id, change)
    if (release.prerelease !== change.prerelease || isDemoted(release) !== change.prerelease) {
      throw new SeederError(`${tag} was changed, and GitHub shows it as it was before`, {
        fix: `run it again; see ${url}`,
      })
    }
    const others = (await releases.list()).filter((other) => other.id !== id)
    const channels = channelsByImage([...others, release]).get(requireTag(tag).image)
    return resultOf(release, channels, true)
  } catch (cause) {
    if (!signal.aborted) throw cause
    const found = release ? `${tag} is ${done}, and was not checked` : `${tag} may be ${done} already`
    throw new StoppedError(`stopped; ${found}: ${url}`, { fix: 'run it again: it reports the state', cause })
  }
}

function resultOf({ tag, url }: Release, channels: Channels | undefined, changed: boolean): PromoteResult {
  return { tag, url, changed, promoted: channels?.promoted?.tag ?? null, signer: null }
}

async function findRelease(
  releases: Releases,
  tag: string,
): Promise<{ release: Release; channels: Channels; version: string }> {
  const { image, version } = requireTag(tag)
  const all = await releases.list()
  const channels = channelsByImage(all).get(image)
  const release = channels?.versions.find((published) => published.release.tag === tag)?.release
  if (channels && release) return { release, channels, version }
  const draft = all.find((other) => other.tag === tag)
  if (draft) {
    throw new SeederError(`${tag} is a draft, which is not finished: ${draft.url}`, {
      fix: 'run publish again: it continues with that draft',
    })
  }
  const known = channels?.versions.map(({ release: other }) => other.tag) ?? []
  throw new UsageError(`${releases.repository} has no release ${tag}`, {
    fix: known.length === 0 ? `publish ${image} first` : `there is ${known.slice(0, 5).join(', ')}`,
  })
}
