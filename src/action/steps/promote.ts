import { promoteCommand } from '../../commands/promote.ts'
import { formatTag, parseTag } from '../../release/format/tag.ts'
import type { InputsOf } from '../input-schemas.ts'
import type { Step, StepOutcome } from '../step.ts'
import { formatSummary } from '../summary.ts'

/** `command: promote` and `command: demote`: sets the version of an image that is deployed. */
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
    // The promoted version: after a demotion the one before.
    outputs: { version: parseTag(promoted ?? '')?.version ?? '', 'release-url': url, changed },
    summary: formatSummary({
      image,
      version,
      progress: demote ? { reached: 'candidate', failed: 'promoted' } : { reached: 'promoted' },
      links: { [formatTag(inputs.tag)]: url },
      remarks: [
        ...(changed ? [] : [`Already ${demote ? 'demoted' : 'promoted'}.`]),
        ...(signer === null ? [] : [`Signed by ${signer}.`]),
        promoted === null ? 'No version of this image is promoted.' : `The promoted version is ${promoted}.`,
      ],
    }),
  }
}
