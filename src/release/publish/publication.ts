import type { NewDraft, Release, Releases } from '../../github/release.ts'
import { SeederError, StoppedError } from '../../report/error.ts'
import type { RunContext } from '../../report/progress.ts'
import { compareAssets, describeDifference } from '../format/assets.ts'
import { requireTagOf } from '../format/tag-commit.ts'
import { fillDraft } from './draft.ts'
import type { LocalRelease } from './local.ts'

const CONTINUE = 'run publish again: it continues with that draft'
const CHECK = 'run publish again: it checks what is published'

/**
 * Fills a draft and publishes it.
 * @throws SeederError that describes the state on GitHub as far as it is known; the draft stays for the next run
 */
export async function publishDraft(
  releases: Releases,
  draft: Release,
  { assets, notes }: { assets: LocalRelease['assets']; notes: Omit<NewDraft, 'tag'> },
  { progress, signal }: RunContext,
): Promise<{ release: Release; uploadedBytes: number }> {
  let filled: { uploadedBytes: number } | undefined
  try {
    filled = await fillDraft(releases, draft.id, assets, {
      onBytes: (done, total) => progress.bytes('sent', done, total),
      signal,
    })
    progress.phase('publish the draft')
    const change = { ...notes, draft: false, prerelease: true, makeLatest: false }
    return { release: await releases.update(draft.id, change), uploadedBytes: filled.uploadedBytes }
  } catch (cause) {
    if (signal.aborted) throw stopped(draft, filled !== undefined, cause)
    const now = await releases.get(draft.id).catch(() => undefined)
    if (now?.draft !== false) throw unpublished(draft, cause)
    // Only the response was lost.
    if (filled) return { release: now, uploadedBytes: filled.uploadedBytes }
    throw new SeederError(`${now.tag} was published by somebody else meanwhile: ${now.url}`, {
      fix: CHECK,
      cause,
    })
  }
}

function stopped({ tag, url }: Release, sent: boolean, cause: unknown): StoppedError {
  return sent
    ? new StoppedError(`stopped while ${tag} was being published: it may be published, or a draft: ${url}`, {
        fix: 'run publish again: it continues with the draft, or checks what is published',
        cause,
      })
    : new StoppedError(`stopped; the draft of ${tag} is not finished: ${url}`, { fix: CONTINUE, cause })
}

function unpublished({ tag, url }: Release, cause: unknown): SeederError {
  const { message, fix } = cause instanceof SeederError ? cause : { message: String(cause), fix: undefined }
  return new SeederError(`${message}; the draft of ${tag} is not published: ${url}`, {
    fix: fix === undefined ? CONTINUE : `${fix}\n    then ${CONTINUE}`,
    cause,
  })
}

/**
 * Verifies a release that was just published.
 * @throws SeederError when it or its tag is wrong
 */
export async function checkPublished(
  releases: Releases,
  { id, url }: Release,
  { tag, commit, assets }: { tag: string; commit: string; assets: LocalRelease['assets'] },
  signal: AbortSignal,
): Promise<void> {
  try {
    requirePublished(await releases.get(id), tag, assets)
    await requireTagOf(releases, tag, commit, { exists: true, signal })
  } catch (cause) {
    if (!signal.aborted) throw cause
    throw new StoppedError(`stopped; ${tag} is published, and was not checked: ${url}`, { fix: CHECK, cause })
  }
}

function requirePublished(release: Release, tag: string, assets: LocalRelease['assets']): void {
  const different = describeDifference(compareAssets(assets, release.assets))
  if (release.draft) different.push('it is still a draft')
  if (release.tag !== tag) different.push(`its tag is ${release.tag}`)
  if (different.length === 0) return
  throw new SeederError(`${tag} was published, but is wrong: ${different.join('; ')}`, {
    fix: `do not promote it; see ${release.url}`,
  })
}
