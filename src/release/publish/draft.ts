import pMap from 'p-map'
import { refusalOf } from '../../github/failure.ts'
import type { Release, Releases } from '../../github/release.ts'
import { SeederError, StoppedError } from '../../report/error.ts'
import { compareAssets, untilDigested } from '../format/assets.ts'
import type { LocalAsset } from './local.ts'
import { OURS_MARKER } from './notes.ts'

/** More at once do not make it faster, and each has a file open. */
const UPLOADS_AT_ONCE = 2

/** What GitHub has after this many uploads of one asset is what it will have. */
const MOST_UPLOADS = 2

/** A draft that is not as it should be after this number of looks is changed by somebody else all the time. */
const MOST_LOOKS = 12

/**
 * The draft to go on with among those of this tag that Seeder made: the one that has most of the assets already, and
 * the others.
 */
export function chooseDraft(
  tag: string,
  releases: readonly Release[],
  assets: readonly LocalAsset[],
): { draft: Release | undefined; others: readonly Release[] } {
  const finished = (draft: Release) => {
    const { missing, wrong } = compareAssets(assets, draft.assets)
    return assets.length - missing.length - wrong.length
  }
  const [draft, ...others] = releases
    .filter((release) => release.draft && release.tag === tag && release.body.includes(OURS_MARKER))
    .sort((left, right) => finished(right) - finished(left) || left.id - right.id)
  return { draft, others }
}

/** Makes a draft. Throws StoppedError when `signal` ended it, as there may be one then. */
export async function makeDraft(
  releases: Releases,
  made: { tag: string; target: string; title: string; body: string },
  assets: readonly LocalAsset[],
  signal: AbortSignal,
): Promise<Release> {
  try {
    return await makeOneDraft(releases, made, assets)
  } catch (cause) {
    if (!signal.aborted) throw cause
    throw new StoppedError(
      `stopped while a draft of ${made.tag} was being made: there may be one in ${releases.repository}`,
      { fix: 'run publish again: it goes on with a draft that is there', cause },
    )
  }
}

/**
 * When there is no answer, it may have been the answer that was lost, and not the draft: two of them would be one too
 * many.
 */
async function makeOneDraft(
  releases: Releases,
  made: { tag: string; target: string; title: string; body: string },
  assets: readonly LocalAsset[],
): Promise<Release> {
  try {
    return await releases.createDraft(made)
  } catch (error) {
    const refusal = error instanceof SeederError ? refusalOf(error.cause) : undefined
    if (refusal !== undefined && refusal.status < 500) throw error
    const { draft } = chooseDraft(made.tag, await releases.list(), assets)
    return draft ?? (await releases.createDraft(made))
  }
}

/**
 * Uploads what a draft lacks, replaces what is wrong in it, and removes what does not belong there, until GitHub says
 * that it has exactly these assets.
 * @returns the draft as it is then, and how many bytes were sent for that
 */
export async function fillDraft(
  releases: Releases,
  id: number,
  assets: readonly LocalAsset[],
  { onBytes, signal }: { onBytes: (done: number, total: number) => void; signal: AbortSignal },
): Promise<{ draft: Release; uploadedBytes: number }> {
  const uploads = new Map<string, number>()
  let uploadedBytes = 0
  for (let look = 1; look <= MOST_LOOKS; look++) {
    const draft = await releases.get(id)
    if (!draft.draft) throw new SeederError(`${draft.tag} is no draft any more`)
    const { missing, wrong, extra, undigested } = compareAssets(assets, draft.assets)
    const again = wrong.find(({ wanted }) => (uploads.get(wanted.name) ?? 0) >= MOST_UPLOADS)
    if (again) {
      throw new SeederError(
        `GitHub has something else than what was sent of ${again.wanted.name}, ${MOST_UPLOADS} times: ${again.why}`,
        { fix: 'see whether the files in the build folder change meanwhile, and githubstatus.com' },
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
  throw new SeederError('GitHub shows other files than were sent, again and again', {
    fix: 'see whether somebody else changes the draft',
  })
}

/** Uploads all of them. After a failure none is begun any more, and what runs goes on to its end: the next run has it. */
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
            [...sent.values()].reduce((sum, each) => sum + each, 0),
            total,
          )
        })
        .catch((error: unknown) => failures.push(error))
    },
    { concurrency: UPLOADS_AT_ONCE },
  )
  if (failures.length > 0) throw failures[0]
}
