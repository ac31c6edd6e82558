import { join } from 'node:path'
import { manifestName } from '../../build/manifest.ts'
import { buildCommand } from '../../commands/build.ts'
import { readBuildRecord } from '../../release/format/build-record.ts'
import { uploadImage } from '../artifact.ts'
import type { InputsOf } from '../input-schemas.ts'
import { folderOf, gitHubOf, type Step, type StepOutcome } from '../step.ts'
import { formatSummary } from '../summary.ts'
import { compareWithPromoted } from './comparison.ts'

/**
 * `command: build`: builds an image and, with `artifact`, uploads the qcow2 file. By default only a pull request uses cached
 * layers, because a release cannot be made from them.
 */
export async function buildStep(inputs: InputsOf<'build'>, step: Step): Promise<StepOutcome> {
  const out = folderOf(step, inputs)
  const { image, base, line } = inputs
  const cache = inputs.cache ?? step.env.GITHUB_EVENT_NAME === 'pull_request'
  const manifest = await buildCommand({ image, base, line, out, cache }, step.context)
  const settings = { env: step.env, retentionDays: inputs['retention-days'] }
  const artifact = inputs.artifact ? await uploadImage(out, manifest, settings) : undefined
  const { difference } = await compareWithPromoted(
    await readBuildRecord(out),
    () => gitHubOf(step, inputs),
    step,
  )
  return {
    outputs: {
      version: manifest.version,
      qcow2: join(out, manifest.qcow2.file),
      manifest: join(out, manifestName(manifest)),
      digest: manifest.raw.sha256,
      'lock-digest': manifest.lock.sha256,
      ...(artifact ? { 'artifact-id': artifact.id } : {}),
    },
    summary: formatSummary({
      image,
      version: manifest.version,
      progress: { reached: 'built' },
      manifest,
      difference,
    }),
  }
}
