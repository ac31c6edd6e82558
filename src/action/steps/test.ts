import { readdir, writeFile } from 'node:fs/promises'
import { basename, dirname, join, relative } from 'node:path'
import { type FinishedTest, testFolder } from '../../boot-test/test-process.ts'
import { readOutput } from '../../build/output.ts'
import { knownOf } from '../../commands/scan.ts'
import { testCommand } from '../../commands/test.ts'
import { writePage } from '../../page/write.ts'
import { type BuildRecord, readBuildRecord } from '../../release/format/build-record.ts'
import { type TestRecord, tallyOf, testRecordSchema } from '../../release/format/test-report.ts'
import { findAllowedSigners } from '../../release/signature/signers.ts'
import { SeederError } from '../../report/error.ts'
import type { Known } from '../../scan/known.ts'
import { uploadFile, uploadFiles, uploadImage, type WorkflowArtifact } from '../artifact.ts'
import { readEvent } from '../event.ts'
import { uploadBundle } from '../handover.ts'
import type { InputsOf } from '../input-schemas.ts'
import { type CommentEntry, commentName } from '../pull-comment.ts'
import { folderOf, gitHubOf, runUrl, type Step, type StepOutcome } from '../step.ts'
import { formatSummary } from '../summary.ts'
import { compareWithPromoted, type PromotedComparison } from './comparison.ts'

/**
 * `command: test`: runs the boot test of an image, or of several images together, and writes the page of an image. With
 * `artifact` it uploads the image, the results, and the entry for the comment of a pull request.
 * @returns undefined in the process that runs the boot test
 */
export async function testStep(inputs: InputsOf<'test'>, step: Step): Promise<StepOutcome | undefined> {
  const folders = inputs.directory?.map((folder) => folderOf(step, { directory: [folder] })) ?? [
    folderOf(step, inputs),
  ]
  const [folder = '', ...others] = folders
  // A feed that cannot be read is an error before the minutes of the boot test, not in the copy of this program that runs it.
  if (inputs['vulnerability-feed'] !== undefined && testFolder() === undefined) {
    await knownVulnerabilities(await readBuildRecord(folder), undefined, inputs, { warn: () => {} })
  }
  const test = await testCommand({ paths: folders, platform: inputs.platform }, step.context)
  if (test === undefined) return undefined
  return others.length === 0 ? reportImage(folder, test, inputs, step) : reportSeveral(test)
}

/**
 * Reports the boot test of the image in `folder`.
 * @throws SeederError when files of the image changed since
 */
export async function reportImage(
  folder: string,
  test: FinishedTest,
  inputs: Omit<InputsOf<'test'>, 'command'>,
  step: Step,
): Promise<StepOutcome> {
  const record = testRecordSchema.parse(test.report)
  const { manifest, damaged } = await readOutput(folder)
  if (damaged.length > 0) {
    throw new SeederError(`${damaged.join(', ')} in ${folder} changed while it was tested`, {
      fix: 'build it again',
    })
  }
  const { image, version } = manifest
  const finished = { ...(await readBuildRecord(folder)), record }
  const { promoted, difference } = await compareWithPromoted(finished, () => gitHubOf(step, inputs), step)
  const vulnerabilities = await knownVulnerabilities(finished, promoted, inputs, step)
  const settings = { env: step.env, retentionDays: inputs['retention-days'] }
  const temporary = step.env.RUNNER_TEMP || dirname(folder)
  const page = await writeImagePage(folder, finished, difference, step)
  let artifact: WorkflowArtifact | undefined
  if (inputs.artifact) {
    await uploadFiles(`${image}-${version}`, folder, await smallFiles(folder, test), settings)
    // A failed image is not uploaded.
    if (record.passed) {
      artifact = await uploadImage(folder, manifest, settings)
      // A pull request is never published.
      if ((await readEvent(step.env)).kind !== 'pull-request') {
        await uploadBundle(folder, manifest, { ...settings, temporary }, step.context)
      }
    }
    const address = ({ id }: WorkflowArtifact) => `${runUrl(step)}/artifacts/${id}`
    await uploadCommentEntry({
      schema: 1,
      manifest,
      record,
      artifact: artifact ? address(artifact) : null,
      page: address(await uploadFile(page, settings)),
      promoted: promoted ? { manifest: promoted.manifest, record: promoted.record } : null,
      files: difference?.files ?? null,
      vulnerabilities,
    })
  }
  return {
    outputs: {
      version,
      digest: manifest.raw.sha256,
      passed: record.passed,
      ...(artifact ? { 'artifact-id': artifact.id } : {}),
    },
    summary: formatSummary({
      image,
      version,
      progress: record.passed ? { reached: 'tested' } : { reached: 'built', failed: 'tested' },
      record,
      difference,
      vulnerabilities,
    }),
    failures: failuresOf(`${image} ${version}`, record),
  }

  async function uploadCommentEntry(entry: CommentEntry): Promise<void> {
    const name = commentName(image)
    await writeFile(join(temporary, `${name}.json`), JSON.stringify(entry))
    await uploadFiles(name, temporary, [`${name}.json`], settings)
  }
}

/** Writes the page of an image, compared with the promoted version. */
async function writeImagePage(
  folder: string,
  finished: BuildRecord,
  difference: PromotedComparison['difference'],
  { context }: Step,
): Promise<string> {
  return writePage({
    folder,
    finished,
    out: undefined,
    checkout: context.checkout,
    allowedSigners: findAllowedSigners(undefined, context.project),
    comparison: difference && { difference, changelogs: difference.changelogs, promoted: true },
  })
}

function reportSeveral({ report }: FinishedTest): StepOutcome {
  if (!('images' in report)) throw new SeederError('the test of several images wrote the report of one')
  const names = report.images.map(({ image, version }) => `${image} ${version ?? ''}`.trimEnd()).join(', ')
  const record = testRecordSchema.parse({
    ...report,
    image: names,
    version: null,
    raw: { sha256: null },
    boot: { readyMs: null },
  })
  return {
    outputs: { passed: record.passed },
    summary: formatSummary({
      image: names,
      version: 'together',
      progress: record.passed ? { reached: 'tested' } : { reached: 'built', failed: 'tested' },
      record,
    }),
    failures: failuresOf(names, record),
  }
}

function failuresOf(names: string, record: TestRecord): string[] {
  if (record.passed) return []
  const failed = record.checks.filter(({ status }) => status === 'failed')
  return [
    ...failed.map(({ name, detail }) => `${name}: ${detail}`),
    `${names}: ${tallyOf(record).failed} of ${record.checks.length} checks failed`,
  ]
}

/** The files of a build except the qcow2 file, and the logs of the boot test. */
async function smallFiles(folder: string, { reportFile, logs }: FinishedTest): Promise<string[]> {
  const files = (await readdir(folder, { withFileTypes: true }))
    .filter((entry) => entry.isFile() && !entry.name.endsWith('.qcow2'))
    .map(({ name }) => name)
  const kept =
    logs === undefined ? [] : (await readdir(logs)).map((name) => join(relative(folder, logs), name))
  return [...new Set([...files, basename(reportFile), ...kept])]
}

/**
 * The known vulnerabilities of an image, compared with the promoted one. Feeds without the image's release are only a
 * warning: images of several distributions may get the same feeds.
 * @throws SeederError when a feed cannot be read
 */
async function knownVulnerabilities(
  finished: BuildRecord,
  promoted: BuildRecord | undefined,
  {
    'vulnerability-feed': feed,
    'known-exploited': exploited,
  }: Pick<InputsOf<'test'>, 'vulnerability-feed' | 'known-exploited'>,
  { warn }: Pick<Step, 'warn'>,
): Promise<Known> {
  const known = await knownOf(finished, promoted, { feed, exploited })
  if (feed !== undefined && !known.isScanned) warn(`vulnerabilities were not scanned: ${known.reason}`)
  return known
}
