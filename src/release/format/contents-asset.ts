import { parseJson, whyNot } from '../../files/json.ts'
import type { Release, Releases } from '../../github/release.ts'
import { SeederError } from '../../report/error.ts'
import { readSmallAsset } from './asset-text.ts'
import { CONTENTS_FILE, type Contents, contentsSchema } from './contents.ts'

/**
 * Reads `release.json` of a release; undefined when it has none, which Seeder did not make then.
 * Throws SeederError when it cannot be read or is not one.
 */
export async function readContents(
  releases: Releases,
  release: Release,
  signal: AbortSignal,
): Promise<Contents | undefined> {
  const asset = release.assets.find(({ name }) => name === CONTENTS_FILE)
  if (!asset) return undefined
  const text = (await readSmallAsset(releases, asset, signal)).toString()
  try {
    return parseJson(text, contentsSchema)
  } catch (cause) {
    throw new SeederError(
      `${CONTENTS_FILE} of ${release.tag} does not say what is in the release: ${whyNot(cause)}`,
      {
        fix: `see ${release.url}: it is not as Seeder makes them`,
        cause,
      },
    )
  }
}
