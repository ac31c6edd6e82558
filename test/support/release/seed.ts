import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { CONTENTS_FILE, type Contents, type ReleaseFile } from '../../../src/release/format/contents.ts'
import type { LocalGitHub } from '../../stand-ins/github/local-github.ts'
import { type SmallImage, sha256 } from '../deploy/image.ts'

/** How a release is made of an image. */
export interface Seed {
  /** Bytes; a file that has more is in parts. */
  readonly partSize?: number
  readonly draft?: boolean
  readonly prerelease?: boolean
  readonly body?: string
  /** Changes what `release.json` says, as somebody who means no good would. */
  readonly twist?: (contents: Contents) => unknown
  /** Assets that are other than `release.json` says. */
  readonly assets?: Readonly<Record<string, Buffer>>
}

/** A release on the local GitHub with all that is in an image's folder. */
export async function seedImage(github: LocalGitHub, image: SmallImage, seed: Seed = {}): Promise<Contents> {
  const { partSize = 1024 ** 3, twist = (contents) => contents, draft, prerelease, body } = seed
  const assets: Record<string, Buffer> = {}
  const files: ReleaseFile[] = []
  for (const name of (await readdir(image.folder)).sort()) {
    const content = await readFile(join(image.folder, name))
    const parts = split(content, partSize).map((bytes, index, all) => {
      const part = all.length === 1 ? name : `${name}.part-${String(index + 1).padStart(2, '0')}`
      assets[part] = bytes
      return { name: part, size: bytes.length, sha256: sha256(bytes) }
    })
    files.push({ name, size: content.length, sha256: sha256(content), parts })
  }
  const { image: name, version, raw } = image.manifest
  const contents: Contents = { schema: 1, image: name, version, raw: { sha256: raw.sha256 }, files }
  assets[CONTENTS_FILE] = Buffer.from(JSON.stringify(twist(structuredClone(contents))))
  await github.seedRelease({
    tag: `${name}-${version}`,
    assets: { ...assets, ...seed.assets },
    ...(draft !== undefined && { draft }),
    ...(prerelease !== undefined && { prerelease }),
    ...(body !== undefined && { body }),
  })
  return contents
}

function split(content: Buffer, size: number): Buffer[] {
  const count = Math.max(1, Math.ceil(content.length / size))
  return Array.from({ length: count }, (_, index) => content.subarray(index * size, (index + 1) * size))
}
