import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { type Manifest, manifestName, manifestSchema } from '../../build/manifest.ts'
import { readIntactOutput } from '../../build/output.ts'
import { SUMS_FILE } from '../../build/sums.ts'
import { anyJson } from '../../files/json.ts'
import { readText, unlessRead } from '../../files/text-file.ts'
import { SeederError } from '../../report/error.ts'
import { requireSums } from '../format/agreement.ts'
import type { TestRecord } from '../format/test-record.ts'
import { REPORT_FILE, requireGreenReport } from '../format/test-report.ts'
import type { LocalRelease } from './local.ts'

/**
 * Reads the folder of a build that is to be published.
 * Throws SeederError when a file of it is damaged, or its test is missing, red, or of another image.
 */
export async function readTestedBuild(folder: string): Promise<Manifest> {
  const manifest = await readIntactOutput(folder)
  const text = await readText(join(folder, REPORT_FILE)).catch(
    unlessRead(
      (cause) =>
        new SeederError(`${folder} was not tested: it has no ${REPORT_FILE}`, {
          fix: `run: seeder test ${folder}`,
          cause,
        }),
    ),
  )
  requireGreenReport(text, manifest)
  return manifest
}

/**
 * Checks that the bytes which are about to be sent are vouched for: they may be others than those that were looked at
 * and signed a moment ago, and SHA256SUMS has to list each file.
 * @param signed SHA256SUMS as it was signed; undefined when it was not
 * @returns the report as it is sent
 * @throws SeederError with the first file that is another one
 */
export function requireVouched(
  { contents, small }: LocalRelease,
  manifest: Manifest,
  signed: Buffer | undefined,
): TestRecord {
  const text = (name: string) => small.get(name)?.toString() ?? ''
  requireSums(text(SUMS_FILE), contents)
  if (signed && small.get(SUMS_FILE)?.equals(signed) !== true) throw changed(SUMS_FILE)
  const manifestFile = manifestName(manifest)
  if (!isManifest(text(manifestFile), manifest)) throw changed(manifestFile)
  const { file, sha256 } = manifest.qcow2
  const disk = contents.files.find(({ name }) => name === file)
  if (disk?.sha256 !== sha256) {
    throw new SeederError(`${file} is not what the manifest says (sha256 ${disk?.sha256}, not ${sha256})`, {
      fix: 'build it again',
    })
  }
  return requireGreenReport(text(REPORT_FILE), manifest)
}

function isManifest(text: string, manifest: Manifest): boolean {
  return isDeepStrictEqual(manifestSchema.safeParse(anyJson(text)).data, manifest)
}

function changed(name: string): SeederError {
  return new SeederError(`${name} was changed while it was being published`, {
    fix: 'see what else writes into that folder, then run it again',
  })
}
