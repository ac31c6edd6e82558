import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import type { Manifest } from '../../build/manifest.ts'
import { SUMS_FILE } from '../../build/sums.ts'
import type { Release, Releases } from '../../github/release.ts'
import { UsageError } from '../../report/error.ts'
import type { Progress } from '../../report/progress.ts'
import { standings } from '../channel/channels.ts'
import { formatTag } from '../format/tag.ts'
import { requireTagOf } from '../format/tag-commit.ts'
import { signSums, verifySums } from '../signature/signature.ts'
import { findPublished } from './already-published.ts'
import { readTestedBuild, requireReleasable, requireVouched } from './build-folder.ts'
import { withBundleOf } from './bundle-asset.ts'
import { chooseDraft, makeDraft } from './draft.ts'
import { readLocalRelease } from './local.ts'
import { releaseNotes, releaseTitle } from './notes.ts'
import { checkPublished, publishDraft } from './publication.ts'

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
  /** Seeder's cache folder, whose package store has the files of the bundle; undefined to publish without the bundle. */
  readonly bundleFrom?: string | undefined
  /** For a build outside a git checkout, which knows no commit. */
  readonly commit?: string | undefined
  /** Bytes; by default what GitHub takes. */
  readonly partSize?: number | undefined
}

export const publishResultSchema = z
  .object({
    tag: z.string(),
    /** The page for people. */
    url: z.string(),
    /** False when there was nothing to do. */
    published: z.boolean(),
    /** Whether this release is the image's candidate now. */
    candidate: z.boolean(),
    rawSha256: z.string(),
    assets: z.array(z.object({ name: z.string(), size: z.int(), sha256: z.string() }).readonly()).readonly(),
    uploadedBytes: z.int(),
    /** Bytes of its bundle; null when it has none, or was there already. */
    bundleBytes: z.int().nullable(),
  })
  .readonly()

export type PublishResult = z.output<typeof publishResultSchema>

/**
 * Makes the release of a tested build: a draft that gets all files, is compared with what was sent, and only then is
 * published, as a pre-release. Goes on where an earlier run was interrupted.
 * Throws SeederError; a draft that was left is named in it. StoppedError when `signal` ended it while something was
 * changed on GitHub: it says what there is now.
 */
export async function publish(
  releases: Releases,
  { folder, signing, commit: named, bundleFrom, partSize }: PublishRequest,
  progress: Progress,
  signal: AbortSignal,
): Promise<PublishResult> {
  progress.phase('check the build')
  const manifest = await readTestedBuild(folder)
  const commit = commitOf(manifest, named)
  if (manifest.source.dirty) progress.note('it was built from a checkout with changes of its own')

  progress.phase('look at the releases')
  const all = await releases.list()
  const wanted = { manifest, signed: signing.kind !== 'unsigned' }
  const published = await findPublished(releases, all, wanted, progress, signal)
  if (published) return untouched(published, all, manifest)

  requireReleasable(manifest)
  progress.phase('sign and read the files')
  const { signer, signed } = await sign(folder, signing)
  const local = await readLocalRelease(
    folder,
    manifest,
    { signed: signed !== undefined, partSize },
    (done, total) => progress.bytes('read', done, total),
  )
  const report = requireVouched(local, manifest, signed)
  const tag = formatTag(manifest)
  await requireTagOf(releases, tag, commit)

  const bundle = { manifest, cache: bundleFrom, partSize }
  return withBundleOf(local, bundle, progress, async (complete) => {
    const { contents, assets } = complete
    const { repository } = releases
    const described = { repository, manifest, report, contents, commit, signer }
    const notes = { title: releaseTitle(manifest), body: releaseNotes(described), target: commit }
    const { draft: found, others } = chooseDraft(tag, all, assets)
    for (const other of others) progress.note(`another draft of ${tag} is left: delete it at ${other.url}`)
    const draft = found ?? (await makeDraft(releases, { tag, ...notes }, assets, signal))

    progress.phase(found ? `go on with the draft of ${tag}` : `upload ${tag}`)
    const { release, uploadedBytes } = await publishDraft(releases, draft, assets, notes, progress, signal)

    progress.phase('check the release')
    await checkPublished(releases, release, { tag, commit, assets }, signal)
    return {
      ...{ tag, url: release.url, published: true, rawSha256: manifest.raw.sha256, uploadedBytes },
      candidate: isCandidate(release, [...all, release]),
      assets: assets.map(({ name, size, sha256 }) => ({ name, size, sha256 })),
      bundleBytes: contents.bundleFile?.size ?? null,
    }
  })
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

/** Sees to the signature. Returns who signed, where that is known, and SHA256SUMS as it is signed. */
async function sign(folder: string, signing: Signing): Promise<{ signer?: string; signed?: Buffer }> {
  if (signing.kind === 'unsigned') return {}
  const signed =
    signing.kind === 'key' ? await signSums(folder, signing.key) : await readFile(join(folder, SUMS_FILE))
  if (signing.allowedSigners === undefined) return { signed }
  // Now rather than at the promotion: a key that nobody expects would make a release that cannot be promoted.
  return { signer: await verifySums(folder, signing.allowedSigners), signed }
}

/** The result for a release that is there already. */
function untouched(release: Release, all: readonly Release[], { raw }: Manifest): PublishResult {
  return {
    ...{ tag: release.tag, url: release.url, published: false, rawSha256: raw.sha256, uploadedBytes: 0 },
    candidate: isCandidate(release, all),
    assets: release.assets.map(({ name, size, sha256 = '' }) => ({ name, size, sha256 })),
    bundleBytes: null,
  }
}

function isCandidate({ id }: Release, all: readonly Release[]): boolean {
  return [...standings(all).values()].some(({ candidate }) => candidate?.id === id)
}
