import type { Manifest } from '../build/manifest.ts'
import type { Release, Releases } from '../github/release.ts'
import { SeederError, StoppedError, UsageError } from '../report/error.ts'
import type { Progress } from '../report/progress.ts'
import { compareAssets, describeDifference, untilDigested } from './assets.ts'
import { readTestedBuild } from './build-folder.ts'
import { readContents } from './contents-asset.ts'
import { chooseDraft, fillDraft, makeDraft } from './draft.ts'
import { type LocalRelease, readLocalRelease } from './local.ts'
import { releaseNotes, releaseTitle } from './notes.ts'
import { signSums, verifySums } from './signature.ts'
import { standings } from './standing.ts'
import { formatTag } from './tag.ts'
import { requireTagOf } from './tag-commit.ts'

/** How SHA256SUMS gets its signature. */
export type Signing =
  | { readonly kind: 'key'; readonly key: string; readonly allowedSigners: string | undefined }
  /** It has one already. */
  | { readonly kind: 'signed'; readonly allowedSigners: string }
  | { readonly kind: 'unsigned' }

export interface PublishRequest {
  /** The folder of a build with its test report. */
  readonly folder: string
  readonly signing: Signing
  /** For a build outside a git checkout, which knows no commit. */
  readonly commit?: string | undefined
  /** Bytes; by default what GitHub takes. */
  readonly partSize?: number | undefined
}

export interface PublishResult {
  readonly tag: string
  /** The page for people. */
  readonly url: string
  /** False when there was nothing to do. */
  readonly published: boolean
  /** Whether this release is the image's candidate now. */
  readonly candidate: boolean
  readonly rawSha256: string
  readonly assets: readonly { readonly name: string; readonly size: number; readonly sha256: string }[]
  readonly uploadedBytes: number
}

/**
 * Makes the release of a tested build: a draft that gets all files, is compared with what was sent, and only then is
 * published, as a pre-release. Goes on where an earlier run was interrupted.
 * Throws SeederError; a draft that was left is named in it.
 */
export async function publish(
  releases: Releases,
  { folder, signing, commit: named, partSize }: PublishRequest,
  progress: Progress,
  signal: AbortSignal,
): Promise<PublishResult> {
  progress.phase('check the build')
  const { manifest, report } = await readTestedBuild(folder)
  const commit = commitOf(manifest, named)
  if (manifest.source.dirty) progress.note('it was built from a checkout with changes of its own')

  progress.phase('look at the releases')
  const all = await releases.list()
  const last = standings(all).get(manifest.image)?.versions[0]?.release
  if (last && (await rawDigestOf(releases, last, signal)) === manifest.raw.sha256) {
    progress.note(`${last.tag} has the same disk: nothing to publish`)
    return untouched(last, all, manifest)
  }

  progress.phase('sign and read the files')
  const signer = await sign(folder, signing)
  const local = await readLocalRelease(
    folder,
    manifest,
    { signed: signing.kind !== 'unsigned', partSize },
    (done, total) => progress.bytes('read', done, total),
  )
  const tag = formatTag(manifest)
  const published = all.find((release) => release.tag === tag && !release.draft)
  if (published) {
    await requireSame(releases, published, local, signal)
    progress.note(`${tag} is published already, with the same files`)
    return untouched(published, all, manifest)
  }
  await requireTagOf(releases, tag, commit)

  const { repository } = releases
  const described = { repository, manifest, report, contents: local.contents, commit, signer }
  const notes = { title: releaseTitle(manifest), body: releaseNotes(described), target: commit }
  const { draft: found, others } = chooseDraft(tag, all, local.assets)
  for (const other of others) progress.note(`another draft of ${tag} is left: delete it at ${other.url}`)
  const draft = found ?? (await makeDraft(releases, { tag, ...notes }, local.assets))

  progress.phase(found ? `go on with the draft of ${tag}` : `upload ${tag}`)
  const { release, uploadedBytes } = await finish(releases, draft, local, notes, progress, signal)

  progress.phase('check the release')
  requirePublished(await releases.get(release.id), tag, local)
  await requireTagOf(releases, tag, commit, { exists: true, signal })
  return {
    ...{ tag, url: release.url, published: true, rawSha256: manifest.raw.sha256, uploadedBytes },
    candidate: isCandidate(release, [...all, release]),
    assets: local.assets.map(({ name, size, sha256 }) => ({ name, size, sha256 })),
  }
}

/** Fills a draft and publishes it. Whatever goes wrong before that names the draft, which stays for the next run. */
async function finish(
  releases: Releases,
  draft: Release,
  { assets }: LocalRelease,
  notes: { title: string; body: string; target: string },
  progress: Progress,
  signal: AbortSignal,
): Promise<{ release: Release; uploadedBytes: number }> {
  try {
    const { uploadedBytes } = await fillDraft(releases, draft.id, assets, {
      onBytes: (done, total) => progress.bytes('sent', done, total),
      signal,
    })
    progress.phase('publish the draft')
    const change = { ...notes, draft: false, prerelease: true, makeLatest: false }
    return { release: await releases.update(draft.id, change), uploadedBytes }
  } catch (cause) {
    const goOn = 'run publish again: it goes on with that draft'
    if (signal.aborted) {
      throw new StoppedError(`stopped; the draft of ${draft.tag} is not finished: ${draft.url}`, {
        fix: goOn,
        cause,
      })
    }
    const { message, fix } = cause instanceof SeederError ? cause : { message: String(cause), fix: undefined }
    throw new SeederError(`${message}; the draft of ${draft.tag} is not published: ${draft.url}`, {
      fix: fix === undefined ? goOn : `${fix}\n    then ${goOn}`,
      cause,
    })
  }
}

function commitOf({ source }: Manifest, named: string | undefined): string {
  if (named !== undefined && source.commit !== null && named !== source.commit) {
    throw new UsageError(`--commit ${named} is not the commit of the build, which is ${source.commit}`, {
      fix: 'leave it away: the manifest knows it',
    })
  }
  const commit = source.commit ?? named
  if (commit !== undefined) return commit
  throw new UsageError('the build knows no commit, as it was made outside a git checkout', {
    fix: 'give the commit that the tag is to be of: --commit SHA',
  })
}

async function sign(folder: string, signing: Signing): Promise<string | undefined> {
  if (signing.kind === 'unsigned') return undefined
  if (signing.kind === 'key') await signSums(folder, signing.key)
  // Now rather than at the promotion: a key that nobody expects would make a release that cannot be promoted.
  return signing.allowedSigners === undefined ? undefined : verifySums(folder, signing.allowedSigners)
}

/** The raw digest of a release; undefined for one that Seeder did not make. */
async function rawDigestOf(
  releases: Releases,
  release: Release,
  signal: AbortSignal,
): Promise<string | undefined> {
  return (await readContents(releases, release, signal))?.raw.sha256
}

async function requireSame(
  releases: Releases,
  published: Release,
  { assets }: LocalRelease,
  signal: AbortSignal,
): Promise<void> {
  const digested = await untilDigested(releases, published, signal)
  const different = describeDifference(compareAssets(assets, digested.assets))
  if (different.length === 0) return
  throw new SeederError(`${published.tag} is published with other files: ${different.join('; ')}`, {
    fix: `a published version stays as it is (${published.url}): raise the revision in image.yaml, lock, build and test that`,
  })
}

function requirePublished(release: Release, tag: string, { assets }: LocalRelease): void {
  const different = describeDifference(compareAssets(assets, release.assets))
  if (release.draft) different.push('it is a draft still')
  if (release.tag !== tag) different.push(`its tag is ${release.tag}`)
  if (different.length === 0) return
  throw new SeederError(`${tag} was published, and is not what it should be: ${different.join('; ')}`, {
    fix: `do not promote it; see ${release.url}`,
  })
}

/** The result for a release that is there already. */
function untouched(release: Release, all: readonly Release[], { raw }: Manifest): PublishResult {
  return {
    ...{ tag: release.tag, url: release.url, published: false, rawSha256: raw.sha256, uploadedBytes: 0 },
    candidate: isCandidate(release, all),
    assets: release.assets.map(({ name, size, sha256 = '' }) => ({ name, size, sha256 })),
  }
}

function isCandidate({ id }: Release, all: readonly Release[]): boolean {
  return [...standings(all).values()].some(({ candidate }) => candidate?.id === id)
}
