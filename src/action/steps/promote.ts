import { promoteCommand } from '../../commands/promote.ts'
import { formatTag, parseTag } from '../../release/format/tag.ts'
import type { InputsOf } from '../input-schemas.ts'
import type { Step, StepOutcome } from '../step.ts'
import { describeStory } from '../summary.ts'

/** `command: promote` and `command: demote`: which version of an image is to be deployed. */
export async function promoteStep(
  inputs: InputsOf<'promote'> | InputsOf<'demote'>,
  step: Step,
): Promise<StepOutcome> {
  const demote = inputs.command === 'demote'
  const { url, changed, promoted, signer } = await promoteCommand(
    {
      tag: formatTag(inputs.tag),
      demote,
      allowedSigners: inputs['allowed-signers'],
      allowUnsigned: inputs['allow-unsigned'],
      repository: inputs.repository,
    },
    step.context,
    step.env,
  )
  const { image, version } = inputs.tag
  return {
    // What is to be deployed now: after a demotion the version before.
    outputs: { version: parseTag(promoted ?? '')?.version ?? '', 'release-url': url, changed },
    summary: describeStory({
      image,
      version,
      way: demote ? { reached: 'candidate', failed: 'promoted' } : { reached: 'promoted' },
      links: { [formatTag(inputs.tag)]: url },
      remarks: [
        ...(changed ? [] : [`It was ${demote ? 'demoted' : 'promoted'} before.`]),
        ...(signer === null ? [] : [`Signed by ${signer}.`]),
        promoted === null ? 'No version of this image is promoted.' : `Promoted is ${promoted}.`,
      ],
    }),
  }
}
