import { createHash } from 'node:crypto'
import { buffer } from 'node:stream/consumers'
import type { Manifest } from '../../../src/build/manifest.ts'
import { CONTENTS_FILE, type Contents } from '../../../src/release/format/contents.ts'
import { readLocalRelease } from '../../../src/release/publish/local.ts'
import type { LocalGitHub } from '../../stand-ins/github/local-github.ts'
import type { StoredRelease } from '../../stand-ins/github/releases.ts'

/** What a release has instead of what a build has. */
export interface Seeded {
  readonly signed?: boolean
  readonly prerelease?: boolean
  readonly draft?: boolean
  readonly body?: string
  /** Name → content, of files that release.json says this of. */
  readonly files?: Readonly<Record<string, string>>
  /** Name → content, behind the back of release.json; undefined takes one away. */
  readonly assets?: Readonly<Record<string, string | undefined>>
  /** What else is changed of release.json. */
  readonly contents?: (contents: Contents) => Contents
}

/** A build as a release that was published earlier; a candidate by default. */
export async function seedBuild(
  github: LocalGitHub,
  { folder, manifest }: { folder: string; manifest: Manifest },
  seeded: Seeded = {},
): Promise<StoredRelease> {
  const { signed = true, prerelease = true, draft = false, body = 'Notes' } = seeded
  const local = await readLocalRelease(folder, manifest, { signed })
  const assets: Record<string, Buffer> = {}
  for (const asset of local.assets) assets[asset.name] = await buffer(asset.open())
  let { contents } = local
  for (const [name, text] of Object.entries(seeded.files ?? {})) {
    assets[name] = Buffer.from(text)
    const described = { size: assets[name].length, sha256: sha256(text), name }
    const files = contents.files.map((file) =>
      file.name === name ? { ...described, parts: [described] } : file,
    )
    contents = { ...contents, files }
  }
  assets[CONTENTS_FILE] = Buffer.from(JSON.stringify(seeded.contents?.(contents) ?? contents))
  for (const [name, text] of Object.entries(seeded.assets ?? {})) {
    if (text === undefined) delete assets[name]
    else assets[name] = Buffer.from(text)
  }
  const tag = `${manifest.image}-${manifest.version}`
  return github.seedRelease({ tag, assets, body, draft, prerelease })
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
