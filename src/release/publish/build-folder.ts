import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { cachedLayers, type Manifest, manifestName, manifestSchema } from '../../build/manifest.ts'
import { readIntactOutput } from '../../build/output.ts'
import { SUMS_FILE } from '../../build/sums.ts'
import { anyJson } from '../../files/json.ts'
import { readText, unlessRead } from '../../files/text-file.ts'
import { SeederError } from '../../report/error.ts'
import { requireSums } from '../format/agreement.ts'
import { REPORT_FILE, requireGreenReport, type TestRecord } from '../format/test-report.ts'
import type { LocalRelease } from './local.ts'

/**
 * Reads the folder of a build that is to be published.
 * @throws SeederError when a file of it is damaged, or its test is missing, red, or of another image
 */
export async function readTestedBuild(folder: string): Promise<Manifest> {
  const manifest = await readIntactOutput(folder)
  const untested = (cause: unknown) =>
    new SeederError(`${folder} was not tested: it has no ${REPORT_FILE}`, {
      fix: `run: seeder test ${folder}`,
      cause,
    })
  requireGreenReport(await readText(join(folder, REPORT_FILE)).catch(unlessRead(untested)), manifest)
  return manifest
}

/** Maximum files without an owner that an error names. */
const MOST_NAMED = 5

/**
 * Requires that a build can become a release: it made every layer from the locked packages, as whoever can write to a
 * cache could change a layer; and every file belongs to a package, an artifact or the definition.
 * @throws SeederError for any other build
 */
export function requireReleasable(manifest: Manifest): void {
  const title = `${manifest.image} ${manifest.version}`
  const cached = cachedLayers(manifest)
  if (cached.length > 0) {
    throw new SeederError(`${title} was built with layers of a cache: ${cached.join(', ')}`, {
      fix: 'a release is made from the locked packages alone: build it with --no-cache, test it, and publish that',
    })
  }
  const { unowned } = manifest.files
  if (unowned.length === 0) return
  const named = unowned.slice(0, MOST_NAMED).join(', ')
  const more = unowned.length > MOST_NAMED ? ` and ${unowned.length - MOST_NAMED} more` : ''
  throw new SeederError(`${title} has files that no package, artifact or definition owns: ${named}${more}`, {
    fix: `find out what makes them; list those that are allowed below \`unowned\` in images/${manifest.image}/image.yaml`,
  })
}

/**
 * Requires that the bytes to be sent are those that were verified and signed a moment ago, and that SHA256SUMS lists
 * each file.
 * @param signed SHA256SUMS as it was signed; undefined when it was not
 * @returns the report as it is sent
 * @throws SeederError with the first file that has changed
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
  const sent = manifestSchema.safeParse(anyJson(text(manifestFile))).data
  if (!isDeepStrictEqual(sent, manifest)) throw changed(manifestFile)
  const { file, sha256 } = manifest.qcow2
  const disk = contents.files.find(({ name }) => name === file)
  if (disk?.sha256 !== sha256) {
    throw new SeederError(`${file} is not what the manifest says (sha256 ${disk?.sha256}, not ${sha256})`, {
      fix: 'build it again',
    })
  }
  return requireGreenReport(text(REPORT_FILE), manifest)
}

function changed(name: string): SeederError {
  return new SeederError(`${name} was changed while it was being published`, {
    fix: 'see what else writes into that folder, then run it again',
  })
}
