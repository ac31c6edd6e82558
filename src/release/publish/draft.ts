import pMap from 'p-map'
import { refusalOf } from '../../github/failure.ts'
import type { NewDraft, Release, Releases } from '../../github/release.ts'
import { SeederError, StoppedError } from '../../report/error.ts'
import { compareAssets, untilDigested } from '../format/assets.ts'
import type { LocalAsset } from './local.ts'
import { OURS_MARKER } from './notes.ts'

/** Maximum parallel uploads: more are not faster, and each has a file open. */
const UPLOADS_AT_ONCE = 2

/** Maximum uploads of one asset. */
const MOST_UPLOADS = 2

/** Maximum comparisons of a draft: if it still differs, somebody else changes it. */
const MOST_COMPARISONS = 12

/** Of the drafts of this tag that Seeder made, the one with the most complete assets, and the others. */
export function chooseDraft(
  tag: string,
  releases: readonly Release[],
  assets: readonly LocalAsset[],
): { draft: Release | undefined; others: readonly Release[] } {
  const complete = (draft: Release) => {
    const { missing, wrong } = compareAssets(assets, draft.assets)
    return assets.length - missing.length - wrong.length
  }
  const [draft, ...others] = releases
    .filter((release) => release.draft && release.tag === tag && release.body.includes(OURS_MARKER))
    .sort((left, right) => complete(right) - complete(left) || left.id - right.id)
  return { draft, others }
}

/**
 * Creates a draft.
 * @throws StoppedError when `signal` ended it and there may be a draft
 */
export async function createDraft(
  releases: Releases,
  draft: NewDraft,
  assets: readonly LocalAsset[],
  signal: AbortSignal,
): Promise<Release> {
  try {
    return await createDraftOnce(releases, draft, assets)
  } catch (cause) {
    if (!signal.aborted) throw cause
    throw new StoppedError(
      `stopped while a draft of ${draft.tag} was being created: there may be one in ${releases.repository}`,
      { fix: 'run publish again: it continues with an existing draft', cause },
    )
  }
}

/** The response may be lost after the draft was created: do not create a second one. */
async function createDraftOnce(
  releases: Releases,
  wanted: NewDraft,
  assets: readonly LocalAsset[],
): Promise<Release> {
  try {
    return await releases.createDraft(wanted)
  } catch (error) {
    const refusal = error instanceof SeederError ? refusalOf(error.cause) : undefined
    if (refusal !== undefined && refusal.status < 500) throw error
    const { draft } = chooseDraft(wanted.tag, await releases.list(), assets)
    return draft ?? (await releases.createDraft(wanted))
  }
}

/**
 * Uploads missing assets of a draft, replaces wrong ones, and deletes others, until GitHub has exactly these assets.
 * @returns the complete draft, and the number of uploaded bytes
 */
export async function fillDraft(
  releases: Releases,
  id: number,
  assets: readonly LocalAsset[],
  { onBytes, signal }: { onBytes: (done: number, total: number) => void; signal: AbortSignal },
): Promise<{ draft: Release; uploadedBytes: number }> {
  const uploads = new Map<string, number>()
  let uploadedBytes = 0
  for (let comparison = 1; comparison <= MOST_COMPARISONS; comparison++) {
    const draft = await releases.get(id)
    if (!draft.draft) throw new SeederError(`${draft.tag} is not a draft any more`)
    const { missing, wrong, extra, undigested } = compareAssets(assets, draft.assets)
    const again = wrong.find(({ wanted }) => (uploads.get(wanted.name) ?? 0) >= MOST_UPLOADS)
    if (again) {
      throw new SeederError(
        `GitHub has other content of ${again.wanted.name} after ${MOST_UPLOADS} uploads: ${again.why}`,
        { fix: 'check whether something changes the files in the build folder, and githubstatus.com' },
      )
    }
    for (const asset of [...wrong.map(({ found }) => found), ...extra]) await releases.deleteAsset(asset.id)
    const lacking = [...missing, ...wrong.map(({ wanted }) => wanted)]
    if (lacking.length > 0) {
      await uploadAll(releases, draft, lacking, onBytes)
      for (const { name, size } of lacking) {
        uploads.set(name, (uploads.get(name) ?? 0) + 1)
        uploadedBytes += size
      }
    } else if (undigested.length > 0) await untilDigested(releases, draft, signal)
    else if (extra.length === 0) return { draft, uploadedBytes }
  }
  throw new SeederError('GitHub keeps listing other files than were uploaded', {
    fix: 'find out whether somebody else changes the draft',
  })
}

/** Uploads assets. After a failure no other upload begins, but those that run are completed for the next run. */
async function uploadAll(
  releases: Releases,
  draft: Release,
  assets: readonly LocalAsset[],
  onBytes: (done: number, total: number) => void,
): Promise<void> {
  const total = assets.reduce((sum, { size }) => sum + size, 0)
  const sent = new Map<string, number>()
  const failures: unknown[] = []
  await pMap(
    assets.toSorted((left, right) => right.size - left.size),
    async (asset) => {
      if (failures.length > 0) return
      await releases
        .upload(draft, asset, (bytes) => {
          sent.set(asset.name, bytes)
          onBytes(
            [...sent.values()].reduce((sum, bytesSent) => sum + bytesSent, 0),
            total,
          )
        })
        .catch((error: unknown) => failures.push(error))
    },
    { concurrency: UPLOADS_AT_ONCE },
  )
  if (failures.length > 0) throw failures[0]
}
