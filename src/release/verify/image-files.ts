import { createHash } from 'node:crypto'
import { lstat, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { readSmall } from '../../files/text-file.ts'
import type { Release, Releases } from '../../github/release.ts'
import { sha256File } from '../../store/digest.ts'
import { notAsPublished } from '../format/agreement.ts'
import { readAssetText } from '../format/asset-text.ts'
import { CONTENTS_FILE, type Contents, FILE_NAME, type ReleaseFile } from '../format/contents.ts'
import { type Finding, right, unchecked, wrong } from './finding.ts'

/** The files of an image: in a folder, or the assets of a release. */
export interface ImageFiles {
  /** `release.json` of a release; undefined for a build, and for a release without it. */
  readonly contents: Contents | undefined
  readonly names: readonly string[]
  /** Reads a file other than the disk. */
  read(name: string): Promise<Buffer>
  /** Compares a file with the digest that SHA256SUMS has of it. */
  compare(name: string, sha256: string): Promise<Finding>
}

/** The files in the folder of a build. */
export async function folderFiles(folder: string): Promise<ImageFiles> {
  return {
    contents: undefined,
    names: await readdir(folder),
    read: (name) => readSmall(join(folder, name)),
    compare: async (name, sha256) => {
      const isFile = await lstat(join(folder, name)).then(
        (found) => found.isFile(),
        () => undefined,
      )
      if (isFile) return digestFinding(name, sha256, await sha256File(join(folder, name)))
      return wrong('digest', name, isFile === undefined ? 'it is not there' : 'it is not a plain file')
    },
  }
}

/** The small files of a release that were downloaded to a folder; of the disk `release.json` has the digest. */
export async function downloadedFiles(folder: string, contents: Contents): Promise<ImageFiles> {
  const files = await folderFiles(folder)
  const compare = async (name: string, sha256: string) =>
    isDisk(name)
      ? digestFinding(name, sha256, contents.files.find((file) => file.name === name)?.sha256)
      : files.compare(name, sha256)
  return { ...files, contents, compare }
}

/**
 * The assets of a release. The disk is never downloaded: its digest is the one that GitHub has computed.
 * @param small whether the digests of the other files are computed here, or also GitHub's
 */
export function releaseFiles(
  { releases, release, contents }: ReleaseSource,
  small: 'computed' | 'by GitHub',
  signal: AbortSignal,
): ImageFiles {
  const texts = new Map<string, Promise<Buffer>>()
  const download = async (name: string) => {
    const asset = release.assets.find((found) => found.name === name)
    if (!asset) throw notAsPublished(release, `it has no ${name}`)
    return readAssetText(releases, asset, signal)
  }
  const read = (name: string) => {
    const text = texts.get(name) ?? download(name)
    texts.set(name, text)
    return text
  }
  const compareDownloaded = async (name: string, sha256: string) => {
    if (!release.assets.some((asset) => asset.name === name)) return wrong('digest', name, 'it is not there')
    return digestFinding(
      name,
      sha256,
      createHash('sha256')
        .update(await read(name))
        .digest('hex'),
    )
  }
  return {
    contents,
    names: contents?.files.map(({ name }) => name) ?? smallAssets(release),
    read,
    compare: async (name, sha256) => {
      if (small === 'computed' && !isDisk(name)) return compareDownloaded(name, sha256)
      const file = contents?.files.find((listed) => listed.name === name)
      if (!file) return wrong('digest', name, `${CONTENTS_FILE} does not name it`)
      if (file.sha256 !== sha256) {
        return wrong('digest', name, `its sha256 is ${file.sha256} in ${CONTENTS_FILE}, not ${sha256}`)
      }
      return gitHubDigest('digest', name, file, release)
    },
  }
}

/** A release, and what its `release.json` says. */
export interface ReleaseSource {
  readonly releases: Releases
  readonly release: Release
  readonly contents: Contents | undefined
}

/** Compares a file that is not downloaded with GitHub's own digests. */
export function gitHubDigest(
  kind: 'digest' | 'bundle',
  what: string,
  { parts }: ReleaseFile,
  { assets }: Release,
): Finding {
  const digests = parts.map((part) => assets.find(({ name }) => name === part.name)?.sha256)
  if (digests.some((digest, index) => digest !== undefined && digest !== parts[index]?.sha256)) {
    return wrong(kind, what, 'GitHub has another digest of it')
  }
  if (digests.includes(undefined)) return unchecked(kind, what, 'GitHub has no digest of it yet')
  if (parts.length === 1) return right(kind, what, 'sha256, by GitHub')
  return unchecked(kind, what, `GitHub has the digests of its ${parts.length} parts, not of the whole`)
}

function digestFinding(name: string, expected: string, found: string | undefined): Finding {
  if (found === expected) return right('digest', name, 'sha256')
  return wrong('digest', name, `its sha256 is ${found}, not ${expected}`)
}

function isDisk(name: string): boolean {
  return name.endsWith('.qcow2')
}

function smallAssets({ assets }: Release): string[] {
  return assets
    .map(({ name }) => name)
    .filter((name) => name !== CONTENTS_FILE && FILE_NAME.test(name))
    .filter((name) => !/\.(qcow2|bundle\.tar)(\.part-\d+)?$/.test(name))
}
