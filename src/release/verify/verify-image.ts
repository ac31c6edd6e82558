import { type Manifest, manifestName, manifestSchema, qcow2Name } from '../../build/manifest.ts'
import { parseSums, SIGNATURE_FILE, SUMS_FILE, type Sums } from '../../build/sums.ts'
import { parseJson, whyNot } from '../../files/json.ts'
import { decoded } from '../../files/text-file.ts'
import type { Release } from '../../github/release.ts'
import { SeederError } from '../../report/error.ts'
import { notAsPublished } from '../format/agreement.ts'
import { CONTENTS_FILE, type Contents } from '../format/contents.ts'
import { formatTag } from '../format/tag.ts'
import { countChecks, REPORT_FILE, requireGreenReport } from '../format/test-report.ts'
import { verifySignature } from '../signature/signature.ts'
import { agreement, type Finding, right, unchecked, wrong } from './finding.ts'
import type { ImageFiles } from './image-files.ts'

/** The findings about an image, and what was read on the way. */
export interface VerifiedImage {
  readonly findings: readonly Finding[]
  readonly sums: Sums
  /** Undefined when it cannot be read. */
  readonly manifest: Manifest | undefined
  /** Undefined when no signature was verified. */
  readonly signer: string | undefined
}

/**
 * Verifies what everybody who uses an image depends on: the signature, the digests, the manifest and the test report.
 * @param allowedSigners the file with those who may sign; undefined to skip the signature
 * @throws SeederError when SHA256SUMS cannot be read
 */
export async function verifyImage(
  files: ImageFiles,
  allowedSigners: string | undefined,
): Promise<VerifiedImage> {
  const text = await files.read(SUMS_FILE)
  const sums = parseSums(decoded(text, SUMS_FILE))
  const { finding, signer } = await checkSignature(files, text, allowedSigners)
  const findings = [finding]
  for (const [name, digest] of sums) findings.push(await files.compare(name, digest))
  const read = await readManifest(files, sums)
  const manifest = typeof read === 'string' ? undefined : read
  if (typeof read === 'string') findings.push(wrong('manifest', 'manifest', read))
  if (manifest) {
    const problems = manifestProblems(manifest, sums, files.contents)
    findings.push(agreement('manifest', 'content of the manifest', problems))
    findings.push(await checkReport(files, manifest))
  }
  const known = [...sums.keys(), SUMS_FILE, SIGNATURE_FILE, REPORT_FILE]
  for (const name of files.names.filter((name) => !known.includes(name))) {
    findings.push(unchecked('unlisted', name, `${SUMS_FILE} does not name it`))
  }
  return { findings, sums, manifest, signer }
}

/** Verifies the signature of SHA256SUMS, whose content is `sums`. */
export async function checkSignature(
  files: ImageFiles,
  sums: Buffer,
  allowedSigners: string | undefined,
): Promise<{ finding: Finding; signer?: string }> {
  const what = 'signature'
  const isSigned = files.names.includes(SIGNATURE_FILE)
  if (allowedSigners === undefined) {
    return { finding: unchecked(isSigned ? 'signature' : 'unsigned', what, 'no signature was required') }
  }
  if (!isSigned) return { finding: wrong('unsigned', what, `${SUMS_FILE} is not signed`) }
  try {
    const signer = await verifySignature(sums, await files.read(SIGNATURE_FILE), allowedSigners)
    return { finding: right('signature', what, `by ${signer}`), signer }
  } catch (error) {
    return { finding: wrong('signature', what, error) }
  }
}

/** The only manifest that SHA256SUMS lists, or why it cannot be read. */
export async function readManifest(files: ImageFiles, sums: Sums): Promise<Manifest | string> {
  const [name, ...more] = [...sums.keys()].filter((listed) => listed.endsWith('.manifest.json'))
  if (name === undefined || more.length > 0) return `${SUMS_FILE} does not name one manifest`
  try {
    return parseJson(decoded(await files.read(name), name), manifestSchema)
  } catch (error) {
    return `${name} cannot be read: ${whyNot(error)}`
  }
}

function manifestProblems(manifest: Manifest, sums: Sums, contents: Contents | undefined): string[] {
  const { qcow2, raw } = manifest
  const names = [qcow2Name(manifest), manifestName(manifest)]
  return [
    ...names.filter((name) => !sums.has(name)).map((name) => `${SUMS_FILE} does not name ${name}`),
    ...(qcow2.file === names[0] ? [] : [`it names the disk ${qcow2.file}`]),
    ...(sums.get(qcow2.file) === qcow2.sha256 ? [] : [`it has another digest of ${qcow2.file}`]),
    ...(contents && formatTag(contents) !== formatTag(manifest) ? [`it is of ${formatTag(manifest)}`] : []),
    ...(contents && contents.raw.sha256 !== raw.sha256 ? [`${CONTENTS_FILE} is about another disk`] : []),
  ]
}

async function checkReport(files: ImageFiles, manifest: Manifest): Promise<Finding> {
  if (!files.names.includes(REPORT_FILE)) {
    return unchecked('report', REPORT_FILE, 'there is none: the image was not tested')
  }
  try {
    const text = decoded(await files.read(REPORT_FILE), REPORT_FILE)
    return right('report', REPORT_FILE, countChecks(requireGreenReport(text, manifest)))
  } catch (error) {
    return wrong('report', REPORT_FILE, error)
  }
}

/**
 * Requires that a release can be used: nothing is wrong, it was tested, SHA256SUMS lists each of its files, and it is
 * signed unless `allowUnsigned`.
 * @throws SeederError with the first finding that prevents it
 */
export function requireSound(
  release: Pick<Release, 'tag' | 'url'>,
  findings: readonly Finding[],
  allowUnsigned = false,
): void {
  const bad = findings.find(({ kind, result }) => {
    if (kind === 'unsigned') return !allowUnsigned
    const isRequired = kind === 'report' || kind === 'unlisted'
    return result === 'wrong' || (result === 'not checked' && isRequired)
  })
  if (bad === undefined) return
  if (bad.kind !== 'unsigned') throw bad.error ?? notAsPublished(release, `${bad.what}: ${bad.found}`)
  throw new SeederError(`${release.tag} is not signed`, {
    fix: 'raise the revision, and publish that with a key; or allow this one with --allow-unsigned',
  })
}
