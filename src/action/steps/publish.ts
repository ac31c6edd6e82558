import { join } from 'node:path'
import { manifestName } from '../../build/manifest.ts'
import { publishCommand } from '../../commands/publish.ts'
import { readBuildRecord } from '../../release/format/build-record.ts'
import { formatTag, requireTag } from '../../release/format/tag.ts'
import { downloadBuild, expectedBuild } from '../handover.ts'
import type { InputsOf } from '../input-schemas.ts'
import { folderOf, type Step, type StepOutcome } from '../step.ts'
import { formatSummary } from '../summary.ts'

/** With `artifact`, downloads the build from the artifacts of the run. Throws as `downloadBuild`. */
export async function fetchBuild(inputs: InputsOf<'publish'>, step: Step): Promise<void> {
  const { artifact, image, base, line, bundle } = inputs
  if (!artifact || image === undefined) return
  const progress = step.context.progress()
  const expected = await expectedBuild(step.context.project(), image, { base, line })
  progress.phase(`fetch ${formatTag(expected)} from the job that built it`)
  const what = { bundle: bundle ?? true, env: step.env }
  await downloadBuild(expected, folderOf(step, inputs), what, step.context)
  progress.done()
}

/** `command: publish`: publishes a tested build as the candidate of its image. */
export async function publishStep(inputs: InputsOf<'publish'>, step: Step): Promise<StepOutcome> {
  const { unsigned, repository, bundle } = inputs
  const folder = folderOf(step, inputs)
  const key = inputs['signing-key']
  const env = key === undefined ? step.env : { ...step.env, SEEDER_SIGNING_KEY: key }
  const { tag, url, published, candidate, rawSha256 } = await publishCommand(
    { folder, unsigned, repository, bundle },
    step.context,
    env,
  )
  const { image, version } = requireTag(tag)
  const { manifest } = await readBuildRecord(folder)
  return {
    outputs: {
      version,
      digest: rawSha256,
      'release-url': url,
      changed: published,
      qcow2: join(folder, manifest.qcow2.file),
      manifest: join(folder, manifestName(manifest)),
    },
    summary: formatSummary({
      image,
      version,
      progress: { reached: 'candidate' },
      links: { [tag]: url },
      remarks: [
        ...(published ? [] : ['Already published: nothing was uploaded.']),
        ...(candidate ? [] : ['It is not the candidate: a newer version is, or it is promoted.']),
      ],
    }),
  }
}
