import { bundleName } from '../../build/bundle/format.ts'
import { manifestName, qcow2Name } from '../../build/manifest.ts'
import type { Asset, Release } from '../../github/release.ts'
import { SeederError } from '../../report/error.ts'
import { MOST_BYTES } from './asset-text.ts'
import { CONTENTS_FILE, type Contents, type Part, type ReleaseFile } from './contents.ts'
import { SUMS_FILE } from './sums.ts'
import { formatTag } from './tag.ts'
import { REPORT_FILE } from './test-report.ts'

/**
 * Where `release.json` contradicts itself or the assets that GitHub has, a line each; nothing when they agree. Other
 * assets beside the ones that it names do no harm.
 */
export function contradictions(contents: Contents, release: Release): string[] {
  const tag = formatTag(contents)
  const names = contents.files.map(({ name }) => name)
  const needed = [qcow2Name(contents), manifestName(contents), 'template.conf', SUMS_FILE, REPORT_FILE]
  return [
    ...(tag === release.tag ? [] : [`it is of ${tag}`]),
    ...needed.filter((name) => !names.includes(name)).map((name) => `it does not name ${name}`),
    // They are downloaded before it is known who signed them.
    ...contents.files
      .filter(({ name, size }) => name !== qcow2Name(contents) && size > MOST_BYTES)
      .map(({ name, size }) => `${name} has ${size} bytes, and only the disk has more than ${MOST_BYTES}`),
    ...partsOf(contents).flatMap((part) =>
      assetContradictions(
        part,
        release.assets.find(({ name }) => name === part.name),
      ),
    ),
    ...contradictionsWithin(contents),
  ]
}

/** Every part that a release has to have, of its bundle as well. */
export function partsOf(contents: Contents): Part[] {
  return allFiles(contents).flatMap(({ parts }) => parts)
}

function allFiles({ files, bundleFile }: Contents): ReleaseFile[] {
  return bundleFile ? [...files, bundleFile] : [...files]
}

/** Where `release.json` contradicts itself, a line each. */
export function contradictionsWithin(contents: Contents): string[] {
  const names = allFiles(contents).map(({ name }) => name)
  const parts = partsOf(contents)
  const { bundleFile } = contents
  const bundle = bundleName(contents)
  return [
    ...repeated(names).map((name) => `it names ${name} twice`),
    ...repeated(parts.map(({ name }) => name)).map((name) => `it names the part ${name} twice`),
    ...(names.includes(CONTENTS_FILE) ? [`it names itself`] : []),
    ...(bundleFile && bundleFile.name !== bundle ? [`its bundle is named ${bundleFile.name}`] : []),
    ...allFiles(contents).flatMap(fileContradictions),
  ]
}

function fileContradictions({ name, size, sha256, parts: [first, ...more] }: ReleaseFile): string[] {
  const sum = more.reduce((bytes, part) => bytes + part.size, first?.size ?? 0)
  return [
    ...(sum === size ? [] : [`${name} has ${size} bytes, its parts have ${sum}`]),
    ...(more.length > 0 || first?.sha256 === sha256 ? [] : [`${name} is one part and has two digests`]),
    ...(more.length > 0 || first?.name === name ? [] : [`${name} is one part and has two names`]),
  ]
}

function assetContradictions(part: Part, asset: Asset | undefined): string[] {
  if (!asset) return [`there is no asset ${part.name}`]
  if (asset.state !== 'uploaded') return [`the upload of ${part.name} was never finished`]
  if (asset.size !== part.size)
    return [`the asset ${part.name} has ${asset.size} bytes, it says ${part.size}`]
  // GitHub computes it some time after the upload; without it the bytes that come are what is compared.
  return asset.sha256 === undefined || asset.sha256 === part.sha256
    ? []
    : [`the asset ${part.name} has the sha256 ${asset.sha256}, it says ${part.sha256}`]
}

/** Throws SeederError with the first of the contradictions, if there are any. */
export function requireAgreement(contents: Contents, release: Release): void {
  const [first, ...more] = contradictions(contents, release)
  if (first === undefined) return
  const rest = more.length === 0 ? '' : ` (and ${more.length} more of this kind)`
  throw new SeederError(`${CONTENTS_FILE} of the release ${release.tag} cannot be right: ${first}${rest}`, {
    fix: 'do not use this release: publish a new version of the image',
  })
}

function repeated(names: readonly string[]): string[] {
  return [...new Set(names.filter((name, index) => names.indexOf(name) !== index))]
}
