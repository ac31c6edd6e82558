import { readdir, writeFile } from 'node:fs/promises'
import { basename, dirname, join, relative } from 'node:path'
import { type FinishedTest, testFolder } from '../../boot-test/test-process.ts'
import { readOutput } from '../../build/output.ts'
import { testCommand } from '../../commands/test.ts'
import { writePage } from '../../page/write.ts'
import { type Finished, readFinishedFolder } from '../../release/format/build-record.ts'
import { type TestRecord, tallyOf, testRecordSchema } from '../../release/format/test-record.ts'
import { findAllowedSigners } from '../../release/signature/signers.ts'
import { SeederError } from '../../report/error.ts'
import { uploadFile, uploadFiles, uploadImage, type WorkflowArtifact } from '../artifact.ts'
import { readEvent } from '../event.ts'
import { handOverBundle } from '../handover.ts'
import type { InputsOf } from '../input-schemas.ts'
import { type CommentEntry, commentName } from '../pull-comment.ts'
import { folderOf, gitHubOf, runUrl, type Step, type StepOutcome } from '../step.ts'
import { describeStory } from '../summary.ts'
import { compareWithPromoted, type PromotedComparison } from './comparison.ts'
import { knownVulnerabilities } from './vulnerabilities.ts'

/**
 * `command: test`: proves an image or, of several, that they work together, and writes the page of an image. With
 * `artifact` it uploads the files of the image, what was found, and what the comment of a pull request needs. Undefined in the process that does the proving.
 */
export async function testStep(inputs: InputsOf<'test'>, step: Step): Promise<StepOutcome | undefined> {
  const folders = inputs.directory?.map((one) => folderOf(step, { directory: [one] })) ?? [
    folderOf(step, inputs),
  ]
  // Feeds that cannot be read are told before minutes of proof, and not in the copy of this program that does the proving.
  if (inputs['vulnerability-feed'] !== undefined && testFolder() === undefined) {
    const unsaid = { warn: () => {} }
    await knownVulnerabilities(await readFinishedFolder(folders[0] ?? ''), undefined, inputs, unsaid)
  }
  const proof = await testCommand({ paths: folders, platform: inputs.platform }, step.context)
  if (proof === undefined) return undefined
  const [folder = '', ...others] = folders
  return others.length === 0 ? tellOfImage(folder, proof, inputs, step) : tellOfSeveral(proof)
}

/** What comes of the proof of one image in `folder`. Throws SeederError when its files changed meanwhile. */
export async function tellOfImage(
  folder: string,
  proof: FinishedTest,
  inputs: Omit<InputsOf<'test'>, 'command'>,
  step: Step,
): Promise<StepOutcome> {
  const record = testRecordSchema.parse(proof.report)
  const { manifest, damaged } = await readOutput(folder)
  if (damaged.length > 0) {
    throw new SeederError(`${damaged.join(', ')} in ${folder} changed while it was tested`, {
      fix: 'build it again',
    })
  }
  const { image, version } = manifest
  const finished = { ...(await readFinishedFolder(folder)), record }
  const { promoted, difference } = await compareWithPromoted(finished, () => gitHubOf(step, inputs), step)
  const vulnerabilities = await knownVulnerabilities(finished, promoted, inputs, step)
  const settings = { env: step.env, retentionDays: inputs['retention-days'] }
  const temporary = step.env.RUNNER_TEMP || dirname(folder)
  const page = await pageOf(folder, finished, difference, step)
  let artifact: WorkflowArtifact | undefined
  if (inputs.artifact) {
    await uploadFiles(`${image}-${version}`, folder, await smallFiles(folder, proof), settings)
    // What failed is not offered to anybody as an image.
    if (record.passed) {
      artifact = await uploadImage(folder, manifest, settings)
      // A pull request is never published.
      if ((await readEvent(step.env)).kind !== 'pull-request') {
        await handOverBundle(folder, manifest, temporary, settings, step.context)
      }
    }
    const address = ({ id }: WorkflowArtifact) => `${runUrl(step)}/artifacts/${id}`
    await leaveForComment({
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
    summary: describeStory({
      image,
      version,
      way: record.passed ? { reached: 'tested' } : { reached: 'built', failed: 'tested' },
      record,
      difference,
      vulnerabilities,
    }),
    failures: failuresOf(`${image} ${version}`, record),
  }

  async function leaveForComment(entry: CommentEntry): Promise<void> {
    const name = commentName(image)
    await writeFile(join(temporary, `${name}.json`), JSON.stringify(entry))
    await uploadFiles(name, temporary, [`${name}.json`], settings)
  }
}

/** Writes the page of an image, beside the promoted version where there is one. */
async function pageOf(
  folder: string,
  finished: Finished,
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

function tellOfSeveral({ report }: FinishedTest): StepOutcome {
  if (!('images' in report)) throw new SeederError('the proof of several images left the report of one')
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
    summary: describeStory({
      image: names,
      version: 'together',
      way: record.passed ? { reached: 'tested' } : { reached: 'built', failed: 'tested' },
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

/** Everything of a build but the image itself, and what the proof left. */
async function smallFiles(folder: string, { reportFile, logs }: FinishedTest): Promise<string[]> {
  const files = (await readdir(folder, { withFileTypes: true }))
    .filter((entry) => entry.isFile() && !entry.name.endsWith('.qcow2'))
    .map(({ name }) => name)
  const kept =
    logs === undefined ? [] : (await readdir(logs)).map((name) => join(relative(folder, logs), name))
  return [...new Set([...files, basename(reportFile), ...kept])]
}
