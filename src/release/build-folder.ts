import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Manifest } from '../build/manifest.ts'
import { readOutput } from '../build/output.ts'
import { SeederError } from '../report/error.ts'
import { type ProofSummary, REPORT_FILE, requireGreenReport } from './test-report.ts'

/**
 * Reads the folder of a build that is to be published.
 * Throws SeederError when a file of it is damaged, or its test is missing, red, or of another image.
 */
export async function readTestedBuild(folder: string): Promise<{ manifest: Manifest; report: ProofSummary }> {
  const { manifest, damaged } = await readOutput(folder)
  if (damaged.length > 0) {
    throw new SeederError(`${folder} is damaged: ${damaged.join(', ')} is not what SHA256SUMS says`, {
      fix: 'build or download it again',
    })
  }
  const text = await readFile(join(folder, REPORT_FILE), 'utf8').catch((cause: unknown) => {
    throw new SeederError(`${folder} was not tested: it has no ${REPORT_FILE}`, {
      fix: `run: seeder test ${folder}`,
      cause,
    })
  })
  return { manifest, report: requireGreenReport(text, manifest) }
}
