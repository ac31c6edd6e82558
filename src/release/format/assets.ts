import { setTimeout as delay } from 'node:timers/promises'
import type { Asset, Release, Releases } from '../../github/release.ts'
import { SeederError } from '../../report/error.ts'
import type { Part } from './contents.ts'

/** The difference between the assets of a release and the wanted ones. */
export interface AssetDifference<Wanted extends Part> {
  readonly missing: readonly Wanted[]
  /** With another size or digest, or incomplete. */
  readonly wrong: readonly { readonly wanted: Wanted; readonly found: Asset; readonly why: string }[]
  /** Not wanted. */
  readonly extra: readonly Asset[]
  /** With the right size; GitHub has not computed the digest yet. */
  readonly undigested: readonly Asset[]
}

export function compareAssets<Wanted extends Part>(
  wanted: readonly Wanted[],
  found: readonly Asset[],
): AssetDifference<Wanted> {
  const byName = new Map(found.map((asset) => [asset.name, asset]))
  const missing: Wanted[] = []
  const wrong: { wanted: Wanted; found: Asset; why: string }[] = []
  const undigested: Asset[] = []
  for (const part of wanted) {
    const found = byName.get(part.name)
    byName.delete(part.name)
    const why = found && mismatch(part, found)
    if (found === undefined) missing.push(part)
    else if (why !== undefined) wrong.push({ wanted: part, found, why })
    else if (found.sha256 === undefined) undigested.push(found)
  }
  return { missing, wrong, extra: [...byName.values()], undigested }
}

function mismatch({ size, sha256 }: Part, found: Asset): string | undefined {
  if (found.state !== 'uploaded') return 'its upload is incomplete'
  if (found.size !== size) return `it has ${found.size} bytes, not ${size}`
  if (found.sha256 === undefined || found.sha256 === sha256) return undefined
  return `its sha256 is ${found.sha256}, not ${sha256}`
}

/** A line for each difference. */
export function describeDifference({ missing, wrong, extra, undigested }: AssetDifference<Part>): string[] {
  return [
    ...missing.map(({ name }) => `${name}: it is missing`),
    ...wrong.map(({ wanted, why }) => `${wanted.name}: ${why}`),
    ...extra.map(({ name }) => `${name}: it does not belong there`),
    ...undigested.map(({ name }) => `${name}: GitHub has no digest of it`),
  ]
}

/** GitHub computes digests in the background, and may take more than a minute for big files. */
const DIGEST_WAIT_MS = 5 * 60_000

/**
 * Waits until GitHub has the digests of a release's assets.
 * @returns the release with them
 * @throws SeederError when it takes too long
 */
export async function untilDigested(
  releases: Releases,
  release: Release,
  signal: AbortSignal,
): Promise<Release> {
  let waited = 0
  for (let [latest, pause] = [release, 1000]; ; pause = Math.min(pause * 2, 15_000)) {
    const undigested = latest.assets.filter(
      ({ state, sha256 }) => state === 'uploaded' && sha256 === undefined,
    )
    if (undigested.length === 0) return latest
    if (waited >= DIGEST_WAIT_MS) {
      throw new SeederError(
        `GitHub has no digest of ${undigested.map(({ name }) => name).join(', ')} after ${waited / 60_000} minutes`,
        { fix: 'run it again later: nothing is uploaded twice' },
      )
    }
    await delay(pause, undefined, { signal })
    waited += pause
    latest = await releases.get(release.id)
  }
}
