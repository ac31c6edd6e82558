import { bundleName } from '../../build/bundle/format.ts'
import { manifestName, qcow2Name } from '../../build/manifest.ts'
import { parseSums, SIGNATURE_FILE, SUMS_FILE } from '../../build/sums.ts'
import type { Release } from '../../github/release.ts'
import { SeederError } from '../../report/error.ts'
import { MOST_BYTES } from './asset-text.ts'
import { compareAssets, describeDifference } from './assets.ts'
import { CONTENTS_FILE, type Contents, type Part, type ReleaseFile } from './contents.ts'
import { formatTag } from './tag.ts'
import { REPORT_FILE } from './test-report.ts'

/**
 * The contradictions within `release.json`, and between it and the assets that GitHub has, one per line. Additional
 * assets are none.
 */
export function contradictions(contents: Contents, release: Release): string[] {
  const tag = formatTag(contents)
  const names = contents.files.map(({ name }) => name)
  const needed = [qcow2Name(contents), manifestName(contents), 'template.conf', SUMS_FILE, REPORT_FILE]
  // A part that is named twice is a contradiction of its own.
  const parts = [...new Map(partsOf(contents).map((part) => [part.name, part])).values()]
  const { missing, wrong } = compareAssets(parts, release.assets)
  return [
    ...(tag === release.tag ? [] : [`it is of ${tag}`]),
    ...needed.filter((name) => !names.includes(name)).map((name) => `it does not name ${name}`),
    // They are downloaded before their signature is verified.
    ...contents.files
      .filter(({ name, size }) => name !== qcow2Name(contents) && size > MOST_BYTES)
      .map(({ name, size }) => `${name} has ${size} bytes, and only the disk has more than ${MOST_BYTES}`),
    // GitHub computes digests some time after the upload: who downloads a file compares its bytes.
    ...describeDifference({ missing, wrong, extra: [], undigested: [] }),
    ...contradictionsWithin(contents),
  ]
}

/** Every part that a release must have, including those of its bundle. */
export function partsOf(contents: Contents): Part[] {
  return allFiles(contents).flatMap(({ parts }) => parts)
}

function allFiles({ files, bundleFile }: Contents): ReleaseFile[] {
  return bundleFile ? [...files, bundleFile] : [...files]
}

function contradictionsWithin(contents: Contents): string[] {
  const names = allFiles(contents).map(({ name }) => name)
  const { bundleFile } = contents
  return [
    ...repeated(names).map((name) => `it names ${name} twice`),
    ...repeated(partsOf(contents).map(({ name }) => name)).map((name) => `it names the part ${name} twice`),
    ...(names.includes(CONTENTS_FILE) ? ['it names itself'] : []),
    ...(bundleFile && bundleFile.name !== bundleName(contents)
      ? [`its bundle is named ${bundleFile.name}`]
      : []),
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

function repeated(names: readonly string[]): string[] {
  return [...new Set(names.filter((name, index) => names.indexOf(name) !== index))]
}

/** @throws SeederError with the first contradiction */
export function requireAgreement(contents: Contents, release: Release): void {
  const [first, ...more] = contradictions(contents, release)
  if (first === undefined) return
  const rest = more.length === 0 ? '' : ` (and ${more.length} more of this kind)`
  throw new SeederError(`${CONTENTS_FILE} of the release ${release.tag} cannot be right: ${first}${rest}`, {
    fix: 'do not use this release: publish a new version of the image',
  })
}

/**
 * The files of a release that SHA256SUMS does not list: itself, its signature, and the report, which is made after it.
 */
const unlisted: readonly string[] = [SUMS_FILE, SIGNATURE_FILE, REPORT_FILE]

/**
 * Requires that SHA256SUMS, which is signed, lists exactly the files of a release, with their digests.
 * @throws SeederError with the first difference
 */
export function requireSums(text: string, contents: Contents): void {
  const sums = parseSums(text)
  const files = contents.files.filter(({ name }) => !unlisted.includes(name))
  const fix = 'build it again, or publish it again'
  for (const { name, sha256 } of files) {
    const digest = sums.get(name)
    if (digest === undefined) throw new SeederError(`${SUMS_FILE} does not list ${name}`, { fix })
    if (digest !== sha256) {
      throw new SeederError(`${name} is not what ${SUMS_FILE} says (sha256 ${sha256}, not ${digest})`, {
        fix,
      })
    }
  }
  const more = [...sums.keys()].find((listed) => !files.some(({ name }) => name === listed))
  if (more !== undefined) throw new SeederError(`${SUMS_FILE} lists ${more}, which is not there`, { fix })
}

/** The error for a release that is not what `publish` has made. */
export function notAsPublished(
  { tag, url }: Pick<Release, 'tag' | 'url'>,
  found: string,
  cause?: unknown,
): SeederError {
  return new SeederError(`the release ${tag} is not as it was published: ${found}`, {
    fix: `do not use it (${url}): raise the revision in image.yaml, lock, build, test and publish that`,
    cause,
  })
}
