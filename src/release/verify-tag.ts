import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type BundleFile, bundleListName, parseBundleList } from '../bundle/index.ts'
import type { GitHub } from '../github/client.ts'
import type { Release } from '../github/release.ts'
import { readSmall } from '../text-file.ts'
import { contradictions } from './agreement.ts'
import { chooseRelease } from './choice.ts'
import { CONTENTS_FILE, type Contents, FILE_NAME } from './contents.ts'
import { readContents } from './contents-asset.ts'
import type { Finding } from './finding.ts'
import { isPackAsset } from './pack/layout.ts'
import { verifyBundle } from './pack/verify.ts'
import { readSmallAsset } from './small-asset.ts'
import { requireTag } from './tag.ts'
import { verifyFolder } from './verify-folder.ts'

/** What is looked at of a release. */
export interface TagCheck {
  /** The file with those who may sign; undefined to go without a signature. */
  readonly allowedSigners: string | undefined
  /** Whether every file of its bundle is downloaded and compared. */
  readonly bundle: boolean
}

/**
 * Looks at a published release as `verifyFolder` does at a folder, and where the files of its bundle are. Of the disk, which
 * is not downloaded, the digests that GitHub itself has computed are compared.
 * @throws SeederError when there is no such release, or it holds no image
 */
export async function verifyTag(
  { releases, repository }: Pick<GitHub, 'releases' | 'repository'>,
  tag: string,
  { allowedSigners, bundle: download }: TagCheck,
  signal: AbortSignal,
): Promise<Finding[]> {
  const { image, version } = requireTag(tag)
  const all = await releases.list()
  const release = chooseRelease(all, image, version, repository)
  const contents = await readContents(releases, release, signal)
  const folder = await mkdtemp(join(tmpdir(), 'seeder-verify-'))
  try {
    for (const asset of release.assets) {
      const isDisk = /\.qcow2(\.part-\d+)?$/.test(asset.name)
      if (isDisk || isPackAsset(asset.name)) continue
      if (asset.name === CONTENTS_FILE || !FILE_NAME.test(asset.name)) continue
      await writeFile(join(folder, asset.name), await readSmallAsset(releases, asset, signal))
    }
    const findings = await verifyFolder(folder, allowedSigners, (name, sha256) =>
      diskFinding(name, sha256, release, contents),
    )
    const files = await readFiles(join(folder, bundleListName({ image, version })))
    const bundle = await verifyBundle(releases, { all, release, contents, files, download }, signal)
    return [contentsFinding(release, contents), ...findings, ...bundle]
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** What the list of a bundle has, when it can be read: what is wrong with it otherwise is a finding of its own. */
async function readFiles(list: string): Promise<readonly BundleFile[] | undefined> {
  return readSmall(list)
    .then((text) => parseBundleList(text).index.files)
    .catch(() => undefined)
}

function contentsFinding(release: Release, contents: Contents | undefined): Finding {
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
): Finding {
  const file = contents?.files.find((one) => one.name === name)
  if (!file) return { what: name, result: 'wrong', found: `${CONTENTS_FILE} does not name it` }
  if (file.sha256 !== sha256) {
    return {
      what: name,
      result: 'wrong',
      found: `its sha256 is ${file.sha256} in ${CONTENTS_FILE}, not ${sha256}`,
    }
  }
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
