import type { Release } from '../../github/release.ts'
import { compareVersions, parseTag } from '../format/tag.ts'

/** In the body of a release that was demoted: it is not a candidate any more. */
export const DEMOTED_MARKER = '<!-- seeder: demoted -->'

/** A published version of an image. */
export interface PublishedVersion {
  readonly version: string
  readonly release: Release
}

/** The published versions of an image on GitHub, without drafts. */
export interface Channels {
  readonly image: string
  /** The highest version that is a full release. */
  readonly promoted?: Release
  /** The highest pre-release that is newer than the promoted version and was not demoted. */
  readonly candidate?: Release
  /** Newest first. */
  readonly versions: readonly PublishedVersion[]
}

/** Image → its published versions, sorted by the name of the image. */
export function channelsByImage(releases: readonly Release[]): Map<string, Channels> {
  const images = new Map<string, PublishedVersion[]>()
  for (const release of releases) {
    const tag = parseTag(release.tag)
    if (release.draft || !tag) continue
    images.set(tag.image, [...(images.get(tag.image) ?? []), { version: tag.version, release }])
  }
  return new Map(
    [...images]
      .sort(([left], [right]) => (left < right ? -1 : 1))
      .map(([image, versions]) => [image, channelsOf(image, versions)]),
  )
}

function channelsOf(image: string, published: readonly PublishedVersion[]): Channels {
  const versions = published.toSorted((left, right) => compareVersions(right.version, left.version))
  const promoted = versions.find(({ release }) => !release.prerelease)
  const candidate = versions.find(
    ({ version, release }) =>
      release.prerelease &&
      !isDemoted(release) &&
      (promoted === undefined || compareVersions(version, promoted.version) > 0),
  )
  return {
    image,
    ...(promoted && { promoted: promoted.release }),
    ...(candidate && { candidate: candidate.release }),
    versions,
  }
}

/** Whether a release was promoted and then demoted. */
export function isDemoted(release: Release): boolean {
  return release.prerelease && release.body.includes(DEMOTED_MARKER)
}
