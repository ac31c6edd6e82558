import { type Addresses, user } from './addresses.ts'
import type { StoredAsset, StoredRelease } from './releases.ts'
import type { Repository } from './repository.ts'

/** A release as GitHub answers it. */
export function releaseAnswer(addresses: Addresses, repository: Repository, release: StoredRelease) {
  const api = `${addresses.api}/repos/${repository.fullName}`
  const web = `${addresses.web}/${repository.fullName}`
  const url = `${api}/releases/${release.id}`
  return {
    url,
    assets_url: `${url}/assets`,
    id: release.id,
    node_id: `RE_${release.id}`,
    upload_url: `${addresses.upload}/repos/${repository.fullName}/releases/${release.id}/assets{?name,label}`,
    html_url: `${web}/releases/tag/${release.draft ? release.untagged : release.tag}`,
    author: user(addresses, 'github-actions[bot]'),
    tag_name: release.tag,
    target_commitish: release.target,
    name: release.title,
    body: release.body,
    draft: release.draft,
    prerelease: release.prerelease,
    immutable: release.immutable,
    created_at: release.createdAt,
    updated_at: release.createdAt,
    published_at: release.publishedAt ?? null,
    assets: release.assets.map((asset) => assetAnswer(addresses, repository, release, asset)),
    tarball_url: release.draft ? null : `${api}/tarball/${release.tag}`,
    zipball_url: release.draft ? null : `${api}/zipball/${release.tag}`,
  }
}

/** Counts as one reading of its digest. */
export function assetAnswer(
  addresses: Addresses,
  repository: Repository,
  release: StoredRelease,
  asset: StoredAsset,
) {
  const tag = release.draft ? release.untagged : release.tag
  const late = asset.digestLate > 0
  if (late) asset.digestLate--
  return {
    url: `${addresses.api}/repos/${repository.fullName}/releases/assets/${asset.id}`,
    id: asset.id,
    node_id: `RA_${asset.id}`,
    name: asset.name,
    label: asset.label,
    uploader: user(addresses, 'github-actions[bot]'),
    content_type: asset.contentType,
    state: asset.state,
    size: asset.size,
    digest: late || asset.sha256 === undefined ? null : `sha256:${asset.sha256}`,
    download_count: asset.downloads,
    created_at: asset.createdAt,
    updated_at: asset.createdAt,
    browser_download_url: `${addresses.web}/${repository.fullName}/releases/download/${tag}/${asset.name}`,
  }
}
