import { setTimeout as delay } from 'node:timers/promises'
import type { Asset, Release, Releases } from '../../github/release.ts'
import { SeederError } from '../../report/error.ts'
import type { Part } from './contents.ts'

/** How the assets of a release differ from those it is to have. */
export interface AssetDifference<Wanted extends Part> {
  readonly missing: readonly Wanted[]
  /** There by that name, with another size or digest, or what an upload that broke off has left. */
  readonly wrong: readonly { readonly wanted: Wanted; readonly found: Asset; readonly why: string }[]
  /** Not to be there at all. */
  readonly extra: readonly Asset[]
  /** There with the right size; GitHub has not computed the digest yet. */
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
  for (const one of wanted) {
    const asset = byName.get(one.name)
    byName.delete(one.name)
    if (asset === undefined) missing.push(one)
    else if (asset.state !== 'uploaded')
      wrong.push({ wanted: one, found: asset, why: 'its upload broke off' })
    else if (asset.size !== one.size) {
      wrong.push({ wanted: one, found: asset, why: `it has ${asset.size} bytes, not ${one.size}` })
    } else if (asset.sha256 === undefined) undigested.push(asset)
    else if (asset.sha256 !== one.sha256) {
      wrong.push({ wanted: one, found: asset, why: `its sha256 is ${asset.sha256}, not ${one.sha256}` })
    }
  }
  return { missing, wrong, extra: [...byName.values()], undigested }
}

/** What is different, one line each; none when a release has exactly what it is to have. */
export function describeDifference({ missing, wrong, extra, undigested }: AssetDifference<Part>): string[] {
  return [
    ...missing.map(({ name }) => `${name}: it is missing`),
    ...wrong.map(({ wanted, why }) => `${wanted.name}: ${why}`),
    ...extra.map(({ name }) => `${name}: it does not belong there`),
    ...undigested.map(({ name }) => `${name}: GitHub has no digest of it`),
  ]
}

/** GitHub computes digests in the background, and was seen to take more than a minute for big files. */
const DIGEST_WAIT_MS = 5 * 60_000

/** Waits until GitHub has the digests of a release's assets: the release as it is then. Throws SeederError when it takes too long. */
export async function untilDigested(
  releases: Releases,
  release: Release,
  signal: AbortSignal,
): Promise<Release> {
  let waited = 0
  for (let [at, pause] = [release, 1000]; ; pause = Math.min(pause * 2, 15_000)) {
    const undigested = at.assets.filter(({ state, sha256 }) => state === 'uploaded' && sha256 === undefined)
    if (undigested.length === 0) return at
    if (waited >= DIGEST_WAIT_MS) {
      throw new SeederError(
        `GitHub has no digest of ${undigested.map(({ name }) => name).join(', ')} after ${waited / 60_000} minutes`,
        { fix: 'run it again later: nothing is uploaded twice' },
      )
    }
    await delay(pause, undefined, { signal })
    waited += pause
    at = await releases.get(release.id)
  }
}
