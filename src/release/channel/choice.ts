import type { Release } from '../../github/release.ts'
import { SeederError, UsageError } from '../../report/error.ts'
import { formatTag, parseTag } from '../format/tag.ts'
import { type Channels, channelsByImage } from './channels.ts'

/**
 * Finds a release of an image: `promoted`, `candidate`, or a version.
 * @throws UsageError for an invalid version; SeederError when there is no such release, or it is a draft
 */
export function chooseRelease(
  releases: readonly Release[],
  image: string,
  which: string,
  repository: string,
): Release {
  const channels = channelsByImage(releases).get(image)
  if (which === 'promoted') return requirePromoted(channels, image, repository)
  if (which === 'candidate') return requireCandidate(channels, image, repository)
  const tag = formatTag({ image, version: which })
  const parsed = parseTag(tag)
  if (parsed?.image !== image || parsed.version !== which) {
    throw new UsageError(`${which} is not a version of ${image}`, {
      fix: 'give `promoted`, `candidate` or a version, as in 3.0.11-1',
    })
  }
  const found = releases.filter((release) => release.tag === tag)
  const published = found.find(({ draft }) => !draft)
  if (published) return published
  if (found.length > 0) {
    throw new SeederError(`the release ${tag} of ${repository} is a draft: it was never published`, {
      fix: 'finish it with `seeder publish`: drafts are not deployed',
    })
  }
  throw new SeederError(`${repository} has no release ${tag}`, { fix: availableFix(channels) })
}

function requirePromoted(channels: Channels | undefined, image: string, repository: string): Release {
  if (channels?.promoted) return channels.promoted
  const candidate = channels?.candidate
  throw new SeederError(`no release of ${image} in ${repository} is promoted`, {
    fix: candidate
      ? `promote the candidate: seeder promote ${candidate.tag}; or deploy it as it is: seeder deploy ${image} candidate`
      : availableFix(channels),
  })
}

function requireCandidate(channels: Channels | undefined, image: string, repository: string): Release {
  if (channels?.candidate) return channels.candidate
  const promoted = channels?.promoted ? `, and nothing is newer than ${channels.promoted.tag}` : ''
  throw new SeederError(`${repository} has no candidate of ${image}${promoted}`, {
    fix: channels?.promoted ? `deploy that: seeder deploy ${image}` : availableFix(channels),
  })
}

function availableFix(channels: Channels | undefined): string {
  const versions = channels?.versions.slice(0, 5).map(({ version }) => version) ?? []
  return versions.length === 0
    ? 'publish one: seeder publish DIR'
    : `these are published: ${versions.join(', ')}`
}
