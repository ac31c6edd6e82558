import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { bundleListName, parseBundleList } from '../../build/bundle/format.ts'
import { makeRunFolder } from '../../files/run-folder.ts'
import { readSmall } from '../../files/text-file.ts'
import type { GitHub } from '../../github/client.ts'
import type { Release, Releases } from '../../github/release.ts'
import { describeError } from '../../report/error.ts'
import { formatBytes } from '../../report/table.ts'
import { chooseRelease } from '../channel/choice.ts'
import { downloadBundle } from '../download/fetch-bundle.ts'
import { contradictions } from '../format/agreement.ts'
import { readSmallAsset } from '../format/asset-text.ts'
import { CONTENTS_FILE, type Contents, FILE_NAME, type ReleaseFile } from '../format/contents.ts'
import { readContents } from '../format/contents-asset.ts'
import { requireTag } from '../format/tag.ts'
import type { Verification } from './finding.ts'
import { verifyFolder } from './verify-folder.ts'

/** What is looked at of a release. */
export interface TagCheck {
  /** The file with those who may sign; undefined to go without a signature. */
  readonly allowedSigners: string | undefined
  /** Seeder's cache folder, to download its bundle into and to compare every file of it; undefined to leave that out. */
  readonly bundleInto: string | undefined
}

/**
 * Looks at a published release as `verifyFolder` does at a folder, and at its bundle. Of the disk and the bundle, which
 * are not downloaded, the digests that GitHub itself has computed are compared.
 * @throws SeederError when there is no such release, or it holds no image
 */
export async function verifyTag(
  { releases, repository }: Pick<GitHub, 'releases' | 'repository'>,
  tag: string,
  { allowedSigners, bundleInto }: TagCheck,
  signal: AbortSignal,
): Promise<Verification[]> {
  const { image, version } = requireTag(tag)
  const all = await releases.list()
  const release = chooseRelease(all, image, version, repository)
  const contents = await readContents(releases, release, signal)
  const folder = await mkdtemp(join(tmpdir(), 'seeder-verify-'))
  try {
    for (const asset of release.assets) {
      if (/\.(qcow2|bundle\.tar)(\.part-\d+)?$/.test(asset.name)) continue
      if (asset.name === CONTENTS_FILE || !FILE_NAME.test(asset.name)) continue
      await writeFile(join(folder, asset.name), await readSmallAsset(releases, asset, signal))
    }
    const findings = await verifyFolder(folder, allowedSigners, (name, sha256) =>
      diskFinding(name, sha256, release, contents),
    )
    const list = join(folder, bundleListName({ image, version }))
    const bundle = await bundleFindings(releases, release, contents, { list, into: bundleInto }, signal)
    return [contentsFinding(release, contents), ...findings, ...bundle]
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

const BUNDLE = 'bundle'
const CONTENT = 'content of the bundle'
const silent = { phase: () => undefined, note: () => undefined, bytes: () => undefined }

async function bundleFindings(
  releases: Releases,
  release: Release,
  contents: Contents | undefined,
  { list, into }: { readonly list: string; readonly into: string | undefined },
  signal: AbortSignal,
): Promise<Verification[]> {
  const { bundleFile } = contents ?? {}
  if (!bundleFile) return [{ what: BUNDLE, result: 'not checked', found: 'it was published without one' }]
  const asset = digestFinding(BUNDLE, bundleFile, release)
  if (into === undefined) {
    const found = '`seeder bundle TAG` compares each file, and so does --bundle here'
    return [asset, { what: CONTENT, result: 'not checked', found }]
  }
  const folder = await makeRunFolder(join(into, 'work'))
  try {
    // What is wrong with the list itself is a finding of its own.
    const expected = parseBundleList(await readSmall(list))
    const options = { cache: into, progress: silent, signal }
    await downloadBundle({ releases, release, list: expected }, join(folder, bundleFile.name), options)
    const { length } = expected.index.files
    const found = `sha256 of ${length} files, ${formatBytes(bundleFile.size)}`
    return [asset, { what: CONTENT, result: 'right', found }]
  } catch (error) {
    signal.throwIfAborted()
    const found = describeError(error).split('\n')[0] ?? ''
    return [asset, { what: CONTENT, result: 'wrong', found }]
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

function contentsFinding(release: Release, contents: Contents | undefined): Verification {
  const what = CONTENTS_FILE
  if (!contents) return { what, result: 'wrong', found: 'the release has none' }
  const problems = contradictions(contents, release)
  return problems.length === 0
    ? { what, result: 'right', found: `agrees with the ${release.assets.length} assets` }
    : { what, result: 'wrong', found: problems.join('; ') }
}

/** A disk in parts is put together by who downloads it: their digests are in release.json, that of the whole is compared then. */
function diskFinding(
  name: string,
  sha256: string,
  release: Release,
  contents: Contents | undefined,
): Verification {
  const file = contents?.files.find((one) => one.name === name)
  if (!file) return { what: name, result: 'wrong', found: `${CONTENTS_FILE} does not name it` }
  if (file.sha256 !== sha256) {
    return {
      what: name,
      result: 'wrong',
      found: `its sha256 is ${file.sha256} in ${CONTENTS_FILE}, not ${sha256}`,
    }
  }
  return digestFinding(name, file, release)
}

/** What GitHub's own digests say of a file that is not downloaded. */
function digestFinding(name: string, file: ReleaseFile, release: Release): Verification {
  const digests = file.parts.map((part) => release.assets.find((one) => one.name === part.name)?.sha256)
  if (digests.some((digest, index) => digest !== undefined && digest !== file.parts[index]?.sha256)) {
    return { what: name, result: 'wrong', found: 'GitHub has another digest of it' }
  }
  if (digests.includes(undefined))
    return { what: name, result: 'not checked', found: 'GitHub has no digest of it yet' }
  return file.parts.length === 1
    ? { what: name, result: 'right', found: 'sha256, by GitHub' }
    : {
        what: name,
        result: 'not checked',
        found: `GitHub has the digests of its ${file.parts.length} parts, not of the whole`,
      }
}
