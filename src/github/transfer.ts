import { pipeline, Readable, Transform } from 'node:stream'
import { json } from 'node:stream/consumers'
import { z } from 'zod'
import { retry } from '../http/retry.ts'
import { oneLine } from '../report/printable.ts'
import { formatDuration } from '../report/table.ts'
import { exchange, follow, refused } from './exchange.ts'
import { gitHubFailure, type Permission, RefusedError } from './failure.ts'
import type { Asset } from './release.ts'
import { ATTEMPTS, waitBeforeRetry } from './retry.ts'

/** The URL of an asset, and how to reach it. */
export interface Reached {
  readonly url: string
  readonly token: string
  readonly signal: AbortSignal
  readonly note: (text: string) => void
}

/** The fields of GitHub's description of an asset that are used. */
const answerSchema = z.object({
  id: z.int(),
  name: z.string(),
  size: z.int(),
  state: z.string(),
  digest: z.string().nullish(),
})
export type AssetAnswer = z.output<typeof answerSchema>

export function assetOf({ id, name, size, state, digest }: AssetAnswer): Asset {
  // An incomplete upload has the state `starter`, which Octokit's types do not have.
  const known = state === 'uploaded' || state === 'open' ? state : 'starter'
  return {
    id,
    name: oneLine(name),
    size,
    state: known,
    sha256: /^sha256:([0-9a-f]{64})$/.exec(digest ?? '')?.[1],
  }
}

/** Finds and removes what an earlier attempt left of an asset. */
interface Leftovers {
  find(): Promise<Asset | undefined>
  remove(asset: Asset): Promise<void>
}

/**
 * Uploads an asset, with further attempts. An incomplete upload keeps its name on GitHub and is removed first; a
 * complete one of which only the response was lost is not sent again.
 */
export async function uploadAsset(
  reached: Reached,
  { name, size, open }: { name: string; size: number; open: () => Readable },
  leftovers: Leftovers,
  onBytes: (sent: number) => void = () => undefined,
): Promise<Asset> {
  const url = new URL(reached.url)
  url.searchParams.set('name', name)
  const headers = {
    ...authorization(reached.token),
    accept: 'application/vnd.github+json',
    'content-type': 'application/octet-stream',
    'content-length': String(size),
  }
  return persist(`upload ${name}`, 'contents: write', reached, async (attempt) => {
    if (attempt > 1) {
      const left = await leftovers.find()
      if (left?.state === 'uploaded' && left.size === size) return left
      if (left) await leftovers.remove(left)
    }
    const body = { bytes: open(), size, onBytes }
    const response = await exchange(url, { method: 'POST', headers, body }, reached.signal)
    if (response.statusCode !== 201) throw await refused(response)
    const asset = assetOf(answerSchema.parse(await json(response)))
    if (asset.name !== name || asset.size !== size || asset.state !== 'uploaded') {
      throw new Error(`GitHub has ${asset.size} of ${size} bytes of it as ${asset.name} (${asset.state})`)
    }
    return asset
  })
}

/**
 * Streams an asset from `from` on. The result's `from` is 0 when the server does not support Range. When the stream
 * fails there is no further attempt: only the reader knows what it has.
 */
export async function downloadAsset(
  reached: Reached,
  { name, size }: Asset,
  from: number,
): Promise<{ from: number; bytes: Readable }> {
  if (from > 0 && from === size) return { from, bytes: Readable.from([]) }
  const headers = {
    ...authorization(reached.token),
    accept: 'application/octet-stream',
    ...(from > 0 && { range: `bytes=${from}-` }),
  }
  return persist(`download ${name}`, 'contents: read', reached, async () => {
    const { response, redirected } = await follow(new URL(reached.url), headers, reached.signal)
    const { statusCode } = response
    if (statusCode !== 200 && statusCode !== 206) {
      const refusal = await refused(response)
      // A URL of the storage expires after minutes: the next request to the API gives a new one.
      throw redirected ? new Error(`the storage answered ${refusal.status}`) : refusal
    }
    const begins = statusCode === 206 ? rangeStart(response.headers['content-range']) : 0
    const length = response.headers['content-length']
    if (length !== undefined && Number(length) !== size - begins) {
      response.destroy()
      throw new Error(`the server has ${Number(length) + begins} of ${size} bytes of it`)
    }
    const exact = exactly(size - begins)
    // The reader sees the error of `exact`.
    pipeline(response, exact, () => undefined)
    return { from: begins, bytes: exact }
  })
}

/**
 * Transfers with further attempts, as `waitBeforeRetry` permits.
 * @throws SeederError with the last failure
 */
async function persist<T>(
  doing: string,
  needs: Permission,
  { signal, note }: Reached,
  attempt: (number: number) => Promise<T>,
): Promise<T> {
  const failure = (error: unknown) => gitHubFailure(doing, error, needs)
  try {
    return await retry(attempt, {
      signal,
      wait: (failures, error) =>
        isNameTaken(error) && failures < ATTEMPTS ? 1000 : waitBeforeRetry(failures, error),
      onFailure: (error, ms) => {
        if (ms !== undefined) note(`${failure(error).message}; trying again in ${formatDuration(ms)}`)
      },
    })
  } catch (error) {
    signal.throwIfAborted()
    throw failure(error)
  }
}

/** An earlier attempt has left an asset of this name, complete or not. */
function isNameTaken(error: unknown): boolean {
  return error instanceof RefusedError && error.status === 422 && /already_exists/.test(error.message)
}

function authorization(token: string): { authorization: string } {
  return { authorization: `token ${token}` }
}

function rangeStart(text: string | undefined): number {
  const [, start] = /^bytes (\d+)-/.exec(text ?? '') ?? []
  if (start !== undefined) return Number(start)
  throw new Error(`the server sent a part of the file without its position (${text ?? 'no content-range'})`)
}

/** A stream that fails unless exactly this number of bytes passes. */
function exactly(size: number): Transform {
  let seen = 0
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      seen += chunk.length
      done(seen > size ? new Error(`more than ${size} bytes came`) : null, chunk)
    },
    flush(done) {
      done(seen === size ? null : new Error(`only ${seen} of ${size} bytes came`))
    },
  })
}
