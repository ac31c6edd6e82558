import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { bundleListName, parseBundleList } from '../../build/bundle/format.ts'
import { makeRunFolder } from '../../files/run-folder.ts'
import type { GitHub } from '../../github/client.ts'
import { formatBytes } from '../../report/table.ts'
import { chooseRelease } from '../channel/choice.ts'
import { downloadBundle } from '../download/fetch-bundle.ts'
import { readContents } from '../format/contents.ts'
import { requireTag } from '../format/tag.ts'
import { type Finding, right, unchecked, wrong } from './finding.ts'
import { gitHubDigest, type ImageFiles, type ReleaseSource, releaseFiles } from './image-files.ts'
import { verifyEvidence } from './verify-evidence.ts'
import { diskContent } from './verify-folder.ts'
import { verifyImage } from './verify-image.ts'
import { checkContents } from './verify-release.ts'

/** What to verify of a release. */
export interface TagCheck {
  /** The file with those who may sign; undefined to skip the signature. */
  readonly allowedSigners: string | undefined
  /** Seeder's cache folder, to download the bundle and compare every file of it; undefined to skip that. */
  readonly bundleInto: string | undefined
}

/**
 * Verifies a published release and its bundle. The disk and the bundle are not downloaded: the digests that GitHub has
 * computed are compared.
 * @throws SeederError when there is no such release, or it holds no image
 */
export async function verifyTag(
  { releases, repository }: Pick<GitHub, 'releases' | 'repository'>,
  tag: string,
  { allowedSigners, bundleInto }: TagCheck,
  signal: AbortSignal,
): Promise<Finding[]> {
  const { image, version } = requireTag(tag)
  const release = chooseRelease(await releases.list(), image, version, repository)
  const contents = await readContents(releases, release, signal)
  const source = { releases, release, contents }
  const files = releaseFiles(source, 'computed', signal)
  const { findings, manifest, sums } = await verifyImage(files, allowedSigners)
  return [
    ...checkContents(release, contents),
    ...findings,
    ...(manifest ? await verifyEvidence(files, manifest, sums) : []),
    diskContent,
    ...(await checkBundle(source, files, bundleInto, signal)),
  ]
}

const CONTENT = 'content of the bundle'
const silent = { phase: () => undefined, note: () => undefined, bytes: () => undefined }

async function checkBundle(
  { releases, release, contents }: ReleaseSource,
  files: ImageFiles,
  cache: string | undefined,
  signal: AbortSignal,
): Promise<Finding[]> {
  if (!contents?.bundleFile) return [unchecked('bundle', 'bundle', 'it was published without one')]
  const { bundleFile } = contents
  const digest = gitHubDigest('bundle', 'bundle', bundleFile, release)
  if (cache === undefined) {
    const found = '`seeder bundle TAG` compares each file, and so does --bundle here'
    return [digest, unchecked('bundle', CONTENT, found)]
  }
  const folder = await makeRunFolder(join(cache, 'work'))
  try {
    // What is wrong with the list itself is a finding of its own.
    const list = parseBundleList(await files.read(bundleListName(contents)))
    const options = { cache, progress: silent, signal }
    await downloadBundle({ releases, release, list }, join(folder, bundleFile.name), options)
    const found = `sha256 of ${list.index.files.length} files, ${formatBytes(bundleFile.size)}`
    return [digest, right('bundle', CONTENT, found)]
  } catch (error) {
    signal.throwIfAborted()
    return [digest, wrong('bundle', CONTENT, error)]
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
