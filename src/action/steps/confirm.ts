import { confirmCommand } from '../../commands/confirm.ts'
import { formatTag } from '../../release/format/tag.ts'
import type { InputsOf } from '../input-schemas.ts'
import type { Step, StepOutcome } from '../step.ts'
import { describeStory } from '../summary.ts'

/** `command: confirm`: signs that a second build, of which it gets no more than two digests, has the disk of a release. */
export async function confirmStep(inputs: InputsOf<'confirm'>, step: Step): Promise<StepOutcome> {
  const { tag, digest: disk, 'lock-digest': lock, 'signing-key': key, repository } = inputs
  const { url, builder, rawSha256, changed } = await confirmCommand(
    { tag: formatTag(tag), build: { disk, lock }, repository },
    step.context,
    { ...step.env, SEEDER_SIGNING_KEY: key },
  )
  return {
    outputs: { version: tag.version, digest: rawSha256, 'release-url': url, changed },
    summary: describeStory({
      ...tag,
      way: { reached: 'candidate' },
      links: { [formatTag(tag)]: url },
      remarks: [
        changed
          ? `Confirmed: ${builder} has built the same disk.`
          : `It was confirmed before, by ${builder}.`,
      ],
    }),
  }
}
