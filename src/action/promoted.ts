import { manifestSchema } from '../build/manifest.ts'
import type { Release, Releases } from '../github/release.ts'
import type { Finished } from '../release/difference.ts'
import { readSmallAsset } from '../release/small-asset.ts'
import { standings } from '../release/standing.ts'
import { testRecordSchema } from '../release/test-record.ts'

/**
 * What the promoted version of an image is made of, from its release's small files; undefined when nothing is promoted.
 * Throws SeederError when GitHub cannot be asked or the release is not as Seeder makes them.
 */
export async function readPromoted(
  releases: Releases,
  image: string,
  signal: AbortSignal,
): Promise<Finished | undefined> {
  const promoted = standings(await releases.list()).get(image)?.promoted
  if (promoted === undefined) return undefined
  const manifest = await readJson(releases, promoted, `${promoted.tag}.manifest.json`, signal)
  if (manifest === undefined) return undefined
  const record = await readJson(releases, promoted, 'test-report.json', signal)
  return {
    manifest: manifestSchema.parse(manifest),
    // A report of an older program may look otherwise: then there is no comparing.
    record: testRecordSchema.safeParse(record).data,
  }
}

async function readJson(
  releases: Releases,
  release: Release,
  name: string,
  signal: AbortSignal,
): Promise<unknown> {
  const asset = release.assets.find((one) => one.name === name)
  if (asset === undefined) return undefined
  return JSON.parse((await readSmallAsset(releases, asset, signal)).toString('utf8'))
}
