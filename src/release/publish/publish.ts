import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import type { Manifest } from '../../build/manifest.ts'
import { SUMS_FILE } from '../../build/sums.ts'
import type { Release, Releases } from '../../github/release.ts'
import { UsageError } from '../../report/error.ts'
import type { RunContext } from '../../report/progress.ts'
import { channelsByImage } from '../channel/channels.ts'
import { formatTag } from '../format/tag.ts'
import { requireTagOf } from '../format/tag-commit.ts'
import { signSums, verifySums } from '../signature/signature.ts'
import { findPublished } from './already-published.ts'
import { readTestedBuild, requireReleasable, requireVouched } from './build-folder.ts'
import { withBundleOf } from './bundle-asset.ts'
import { chooseDraft, createDraft } from './draft.ts'
import { readLocalRelease } from './local.ts'
import { releaseNotes, releaseTitle } from './notes.ts'
import { checkPublished, publishDraft } from './publication.ts'

/** The source of the signature. */
export type Signing =
  | { readonly kind: 'key'; readonly key: string; readonly allowedSigners: string | undefined }
  /** The folder has a signature already. */
  | { readonly kind: 'signed'; readonly allowedSigners: string }
  | { readonly kind: 'unsigned' }

export interface PublishRequest {
  /** The folder of a build with its test report. */
  readonly folder: string
  readonly signing: Signing
  /** Seeder's cache folder, whose package store has the files of the bundle; undefined to publish without it. */
  readonly bundleFrom?: string | undefined
  /** For a build outside a git checkout. */
  readonly commit?: string | undefined
  /** Bytes; by default as many as GitHub accepts. */
  readonly partSize?: number | undefined
}

export const publishResultSchema = z
  .object({
    tag: z.string(),
    /** The page for people. */
    url: z.string(),
    /** False when it was published before. */
    published: z.boolean(),
    /** Whether this release is the image's candidate now. */
    candidate: z.boolean(),
    rawSha256: z.string(),
    assets: z.array(z.object({ name: z.string(), size: z.int(), sha256: z.string() }).readonly()).readonly(),
    uploadedBytes: z.int(),
    /** Bytes of its bundle; null without one, and when it was published before. */
    bundleBytes: z.int().nullable(),
  })
  .readonly()

export type PublishResult = z.output<typeof publishResultSchema>

/**
 * Publishes a tested build as a candidate: a draft gets all files, is compared with what was uploaded, and then becomes
 * a pre-release. It continues where an earlier run was interrupted.
 * @throws SeederError, which names a draft that stays; StoppedError with the state on GitHub when `signal` ended it
 */
export async function publish(
  releases: Releases,
  { folder, signing, commit: named, bundleFrom, partSize }: PublishRequest,
  run: RunContext,
): Promise<PublishResult> {
  const { progress, signal } = run
  progress.phase('check the build')
  const manifest = await readTestedBuild(folder)
  const commit = commitOf(manifest, named)
  if (manifest.source.dirty) progress.note('it was built from a checkout with uncommitted changes')

  progress.phase('read the releases')
  const all = await releases.list()
  const wanted = { manifest, signed: signing.kind !== 'unsigned' }
  const published = await findPublished(releases, all, wanted, run)
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
    const facts = { repository, manifest, report, contents, commit, signer }
    const notes = { title: releaseTitle(manifest), body: releaseNotes(facts), target: commit }
    const { draft: found, others } = chooseDraft(tag, all, assets)
    for (const other of others) progress.note(`another draft of ${tag} is left: delete it at ${other.url}`)
    const draft = found ?? (await createDraft(releases, { tag, ...notes }, assets, signal))

    progress.phase(found ? `continue with the draft of ${tag}` : `upload ${tag}`)
    const { release, uploadedBytes } = await publishDraft(releases, draft, { assets, notes }, run)

    progress.phase('check the release')
    await checkPublished(releases, release, { tag, commit, assets }, signal)
    return {
      tag,
      url: release.url,
      published: true,
      rawSha256: manifest.raw.sha256,
      uploadedBytes,
      candidate: isCandidate(release, [...all, release]),
      assets: assets.map(({ name, size, sha256 }) => ({ name, size, sha256 })),
      bundleBytes: contents.bundleFile?.size ?? null,
    }
  })
}

function commitOf({ source }: Manifest, named: string | undefined): string {
  if (named !== undefined && source.commit !== null && named !== source.commit) {
    throw new UsageError(`--commit ${named} is not the commit of the build, which is ${source.commit}`, {
      fix: 'omit it: the manifest has the commit',
    })
  }
  const commit = source.commit ?? named
  if (commit !== undefined) return commit
  throw new UsageError('the build has no commit, as it was made outside a git checkout', {
    fix: 'give the commit for the tag: --commit SHA',
  })
}

/** Signs or verifies SHA256SUMS. Returns the signer, if known, and the signed text. */
async function sign(folder: string, signing: Signing): Promise<{ signer?: string; signed?: Buffer }> {
  if (signing.kind === 'unsigned') return {}
  const signed =
    signing.kind === 'key' ? await signSums(folder, signing.key) : await readFile(join(folder, SUMS_FILE))
  if (signing.allowedSigners === undefined) return { signed }
  // Before the promotion does it: with an unknown key the release could never be promoted.
  return { signer: await verifySums(folder, signing.allowedSigners), signed }
}

/** The result for a release that was published before. */
function untouched(release: Release, all: readonly Release[], { raw }: Manifest): PublishResult {
  return {
    tag: release.tag,
    url: release.url,
    published: false,
    rawSha256: raw.sha256,
    uploadedBytes: 0,
    candidate: isCandidate(release, all),
    assets: release.assets.map(({ name, size, sha256 = '' }) => ({ name, size, sha256 })),
    bundleBytes: null,
  }
}

function isCandidate({ id }: Release, all: readonly Release[]): boolean {
  return [...channelsByImage(all).values()].some(({ candidate }) => candidate?.id === id)
}
