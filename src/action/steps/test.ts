import { readdir, writeFile } from 'node:fs/promises'
import { basename, dirname, join, relative } from 'node:path'
import type { Proof } from '../../boot/proof-process.ts'
import { readOutput } from '../../build/output.ts'
import { testCommand } from '../../commands/test.ts'
import { type TestRecord, tallyOf, testRecordSchema } from '../../release/test-record.ts'
import { SeederError } from '../../report/error.ts'
import { type Artifact, uploadFiles, uploadImage } from '../artifact.ts'
import type { InputsOf } from '../inputs.ts'
import { type CommentEntry, commentName } from '../pull-comment.ts'
import { folderOf, gitHubOf, type Outcome, runUrl, type Step } from '../step.ts'
import { describeStory } from '../summary.ts'
import { compareWithPromoted } from './comparison.ts'

/**
 * `command: test`: proves an image or, of several, that they work together. With `artifact` it uploads the files of the
 * image, what was found, and what the comment of a pull request needs. Undefined in the process that does the proving.
 */
export async function testStep(inputs: InputsOf<'test'>, step: Step): Promise<Outcome | undefined> {
  const folders = inputs.directory?.map((one) => folderOf(step, { directory: [one] })) ?? [
    folderOf(step, inputs),
  ]
  const proof = await testCommand({ paths: folders, platform: inputs.platform }, step.context)
  if (proof === undefined) return undefined
  const [folder = '', ...others] = folders
  return others.length === 0 ? tellOfImage(folder, proof, inputs, step) : tellOfSeveral(proof)
}

/** What comes of the proof of one image in `folder`. Throws SeederError when its files changed meanwhile. */
export async function tellOfImage(
  folder: string,
  proof: Proof,
  inputs: Omit<InputsOf<'test'>, 'command'>,
  step: Step,
): Promise<Outcome> {
  const record = testRecordSchema.parse(proof.report)
  const { manifest, damaged } = await readOutput(folder)
  if (damaged.length > 0) {
    throw new SeederError(`${damaged.join(', ')} in ${folder} changed while it was tested`, {
      fix: 'build it again',
    })
  }
  const { image, version } = manifest
  const finished = { manifest, record }
  const { promoted, difference } = await compareWithPromoted(finished, () => gitHubOf(step, inputs), step)
  const settings = { env: step.env, retentionDays: inputs['retention-days'] }
  let artifact: Artifact | undefined
  if (inputs.artifact) {
    await uploadFiles(`${image}-${version}`, folder, await smallFiles(folder, proof), settings)
    // What failed is not offered to anybody as an image.
    if (record.passed) artifact = await uploadImage(folder, manifest, settings)
    const page = artifact ? `${runUrl(step)}/artifacts/${artifact.id}` : null
    await leaveForComment({ schema: 1, ...finished, promoted: promoted ?? null, artifact: page }, step)
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
    }),
    failures: failuresOf(`${image} ${version}`, record),
  }

  async function leaveForComment(entry: CommentEntry, { env }: Step): Promise<void> {
    const name = commentName(image)
    const temporary = env.RUNNER_TEMP || dirname(folder)
    await writeFile(join(temporary, `${name}.json`), JSON.stringify(entry))
    await uploadFiles(name, temporary, [`${name}.json`], settings)
  }
}

function tellOfSeveral({ report }: Proof): Outcome {
  if (!('images' in report)) throw new SeederError('the proof of several images left the report of one')
  const names = report.images.map(({ image, version }) => `${image} ${version ?? ''}`.trimEnd()).join(', ')
  const record = testRecordSchema.parse({
    ...report,
    ...{ image: names, version: null, raw: { sha256: null }, boot: { readyMs: null } },
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
async function smallFiles(folder: string, { reportFile, logs }: Proof): Promise<string[]> {
  const files = (await readdir(folder, { withFileTypes: true }))
    .filter((entry) => entry.isFile() && !entry.name.endsWith('.qcow2'))
    .map(({ name }) => name)
  const kept =
    logs === undefined ? [] : (await readdir(logs)).map((name) => join(relative(folder, logs), name))
  return [...new Set([...files, basename(reportFile), ...kept])]
}
