import { existsSync } from 'node:fs'
import { lstat, open, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { identityConf, type Manifest, manifestName, manifestSchema, qcow2Name } from '../../build/manifest.ts'
import { parseJson, whyNot } from '../../files/json.ts'
import { readText, unlessRead } from '../../files/text-file.ts'
import { describeError, SeederError } from '../../report/error.ts'
import { sha256File } from '../../store/store.ts'
import { parseSums, SIGNATURE_FILE, SUMS_FILE } from '../format/sums.ts'
import { countChecks, REPORT_FILE, requireGreenReport } from '../format/test-report.ts'
import { verifySums } from '../signature/signature.ts'
import type { Verification } from './finding.ts'
import { verifyEvidence } from './verify-evidence.ts'

/**
 * Looks at a folder that a build or a download left, with nothing but what is in it: digests, whether its files are of
 * one image, and its signature.
 * @param allowedSigners the file with those who may sign; undefined to go without a signature
 * @param elsewhere what is known of the disk when it is not in the folder
 * @throws SeederError when the folder does not hold an image
 */
export async function verifyFolder(
  folder: string,
  allowedSigners: string | undefined,
  elsewhere?: (name: string, sha256: string) => Verification,
): Promise<Verification[]> {
  const text = await readText(join(folder, SUMS_FILE)).catch(
    unlessRead(
      (cause) =>
        new SeederError(`${folder} does not hold an image: it has no ${SUMS_FILE}`, {
          fix: 'give the folder that `build --out` or a download left',
          cause,
        }),
    ),
  )
  const sums = parseSums(text)
  const findings = [await signature(folder, allowedSigners)]
  for (const [name, digest] of sums) {
    const isElsewhere = elsewhere !== undefined && name.endsWith('.qcow2')
    findings.push(isElsewhere ? elsewhere(name, digest) : await digestOf(folder, name, digest))
  }
  const manifest = await readManifest(folder, sums)
  if (typeof manifest === 'string') {
    findings.push(wrong('manifest', manifest))
  } else {
    findings.push(agreement('content of the manifest', manifestProblems(manifest, sums)))
    findings.push(agreement('content of template.conf', await confProblems(folder, manifest, sums)))
    if (!elsewhere) findings.push(await disk(folder, manifest, sums))
    findings.push(...(await verifyEvidence(folder, manifest, sums)))
    findings.push(await report(folder, manifest))
  }
  findings.push(...(await others(folder, sums)))
  findings.push({
    what: 'content of the disk',
    result: 'not checked',
    found: 'deploy.sh compares the imported disk with the manifest, `seeder test` boots it',
  })
  return findings
}

async function signature(folder: string, allowedSigners: string | undefined): Promise<Verification> {
  const what = 'signature'
  if (allowedSigners === undefined) return { what, result: 'not checked', found: 'no signature was required' }
  try {
    return right(what, `by ${await verifySums(folder, allowedSigners)}`)
  } catch (error) {
    return wrong(what, firstLine(error))
  }
}

async function digestOf(folder: string, name: string, digest: string): Promise<Verification> {
  const isFile = await lstat(join(folder, name)).then(
    (found) => found.isFile(),
    () => undefined,
  )
  if (!isFile) return wrong(name, isFile === undefined ? 'it is not there' : 'it is not a plain file')
  const found = await sha256File(join(folder, name))
  return found === digest ? right(name, 'sha256') : wrong(name, `its sha256 is ${found}, not ${digest}`)
}

async function readManifest(folder: string, sums: ReadonlyMap<string, string>): Promise<Manifest | string> {
  const [name, ...more] = [...sums.keys()].filter((one) => one.endsWith('.manifest.json'))
  if (name === undefined || more.length > 0) return `${SUMS_FILE} does not name one manifest`
  try {
    return parseJson(await readText(join(folder, name)), manifestSchema)
  } catch (error) {
    return `${name} cannot be read: ${whyNot(error)}`
  }
}

function manifestProblems(manifest: Manifest, sums: ReadonlyMap<string, string>): string[] {
  const { qcow2 } = manifest
  const names = [qcow2Name(manifest), manifestName(manifest)]
  return [
    ...names.filter((name) => !sums.has(name)).map((name) => `${SUMS_FILE} does not name ${name}`),
    ...(qcow2.file === names[0] ? [] : [`it names the disk ${qcow2.file}`]),
    ...(sums.get(qcow2.file) === qcow2.sha256 ? [] : [`it has another digest of ${qcow2.file}`]),
  ]
}

async function confProblems(
  folder: string,
  manifest: Manifest,
  sums: ReadonlyMap<string, string>,
): Promise<string[]> {
  if (!sums.has('template.conf')) return [`${SUMS_FILE} does not name it`]
  const text = await readText(join(folder, 'template.conf')).catch(() => '')
  const lines = text.split('\n')
  return Object.entries(identityConf(manifest))
    .filter(([key, value]) => !lines.includes(`${key}=${value}`))
    .map(([key]) => `${key} is not the manifest’s`)
}

/** The header alone: a disk that refers to another file of the host is none that may be taken. */
async function disk(
  folder: string,
  { qcow2, raw }: Manifest,
  sums: ReadonlyMap<string, string>,
): Promise<Verification> {
  const what = 'qcow2'
  // A name that SHA256SUMS has is one of this folder.
  if (!sums.has(qcow2.file)) return wrong(what, `${SUMS_FILE} does not name it`)
  const header = Buffer.alloc(80)
  try {
    const handle = await open(join(folder, qcow2.file))
    await handle.read(header, 0, header.length, 0).finally(() => handle.close())
  } catch {
    return wrong(what, 'it cannot be read')
  }
  const problems = [
    ...(header.readUInt32BE(0) === 0x514649fb && header.readUInt32BE(4) === 3
      ? []
      : ['it is no qcow2 of version 3']),
    ...(header.readBigUInt64BE(8) === 0n ? [] : ['it wants another image as its backing file']),
    ...(header.readBigUInt64BE(24) === BigInt(raw.size) ? [] : [`it is not a disk of ${raw.size} bytes`]),
    ...(header.readUInt32BE(32) === 0 ? [] : ['it is encrypted']),
    ...((header.readBigUInt64BE(72) & 4n) === 0n ? [] : ['it keeps its data in another file']),
  ]
  return agreement(what, problems)
}

async function report(folder: string, manifest: Manifest): Promise<Verification> {
  if (!existsSync(join(folder, REPORT_FILE))) {
    return { what: REPORT_FILE, result: 'not checked', found: 'there is none: the image was not tested' }
  }
  try {
    const text = await readText(join(folder, REPORT_FILE))
    return right(REPORT_FILE, countChecks(requireGreenReport(text, manifest)))
  } catch (error) {
    return wrong(REPORT_FILE, firstLine(error))
  }
}

/** Files that nothing vouches for. */
async function others(folder: string, sums: ReadonlyMap<string, string>): Promise<Verification[]> {
  const known = [...sums.keys(), SUMS_FILE, SIGNATURE_FILE, REPORT_FILE]
  return (await readdir(folder))
    .filter((name) => !known.includes(name))
    .map((what) => ({ what, result: 'not checked', found: `${SUMS_FILE} does not name it` }))
}

function agreement(what: string, problems: readonly string[]): Verification {
  return problems.length === 0 ? right(what, 'agrees') : wrong(what, problems.join('; '))
}

function right(what: string, found: string): Verification {
  return { what, result: 'right', found }
}

function wrong(what: string, found: string): Verification {
  return { what, result: 'wrong', found }
}

function firstLine(error: unknown): string {
  return describeError(error).split('\n')[0] ?? ''
}
