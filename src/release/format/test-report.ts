import { z } from 'zod'
import type { Manifest } from '../../build/manifest.ts'
import { parseJson, whyNot } from '../../files/json.ts'
import { SeederError } from '../../report/error.ts'
import { type TestRecord, tallyOf, testRecordSchema } from './test-record.ts'

/** The file of a build folder and the asset of a release. */
export const REPORT_FILE = 'test-report.json'

/** The form in which `seeder test` writes it (src/boot-test/report.ts). */
const reportSchema = testRecordSchema.extend({ schema: z.literal(1) })

/**
 * Reads the text of a test report that has to be green and about the image of this manifest.
 * Throws SeederError with what is wrong with it.
 */
export function requireGreenReport(text: string, manifest: Manifest): TestRecord {
  const report = parse(text)
  const name = `${manifest.image} ${manifest.version}`
  const again = { fix: 'run `seeder test` on this build, and see what it says' }
  if (report.image !== manifest.image || report.version !== manifest.version) {
    throw new SeederError(
      `${REPORT_FILE} is about ${report.image} ${report.version ?? ''}, and not about ${name}`,
      again,
    )
  }
  if (report.raw.sha256 !== manifest.raw.sha256) {
    throw new SeederError(
      `${REPORT_FILE} is about another disk of ${name} (raw sha256 ${report.raw.sha256 ?? 'unknown'}, not ${manifest.raw.sha256})`,
      again,
    )
  }
  const failed = report.checks.filter(({ status }) => status === 'failed').map((check) => check.name)
  if (!report.passed || failed.length > 0) {
    throw new SeederError(
      `${name} did not pass its test${failed.map((check) => `, ${check}`).join('')}`,
      again,
    )
  }
  if (!report.checks.some(({ status }) => status === 'passed')) {
    throw new SeederError(`the test of ${name} checked nothing`, again)
  }
  return report
}

function parse(text: string): TestRecord {
  try {
    return parseJson(text, reportSchema)
  } catch (cause) {
    throw new SeederError(`${REPORT_FILE} is not the report of a test: ${whyNot(cause)}`, {
      fix: 'run `seeder test` on this build',
      cause,
    })
  }
}

/** How many checks ended how, as in "41 passed, 2 skipped". */
export function countChecks(record: TestRecord): string {
  const { passed, skipped } = tallyOf(record)
  return `${passed} passed${skipped === 0 ? '' : `, ${skipped} skipped`}`
}
