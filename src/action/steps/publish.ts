import { publishCommand } from '../../commands/publish.ts'
import { requireTag } from '../../release/tag.ts'
import type { InputsOf } from '../forms.ts'
import { folderOf, type Outcome, type Step } from '../step.ts'
import { describeStory } from '../summary.ts'

/** `command: publish`: makes a tested build the candidate of its image. */
export async function publishStep(inputs: InputsOf<'publish'>, step: Step): Promise<Outcome> {
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
  return {
    outputs: { version, digest: rawSha256, 'release-url': url, changed: published },
    summary: describeStory({
      image,
      version,
      way: { reached: 'candidate' },
      links: { [tag]: url },
      remarks: [
        ...(published ? [] : ['It was published before: nothing was sent.']),
        ...(candidate ? [] : ['It is not the candidate: a newer version is, or it was promoted.']),
      ],
    }),
  }
}
