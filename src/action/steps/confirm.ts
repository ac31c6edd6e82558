import { confirmCommand } from '../../commands/confirm.ts'
import { formatTag } from '../../release/format/tag.ts'
import type { InputsOf } from '../input-schemas.ts'
import type { Step, StepOutcome } from '../step.ts'
import { formatSummary } from '../summary.ts'

/** `command: confirm`: signs that a second build, given by two digests, has the disk of a release. */
export async function confirmStep(inputs: InputsOf<'confirm'>, step: Step): Promise<StepOutcome> {
  const { tag, digest: disk, 'lock-digest': lock, 'signing-key': key, repository } = inputs
  const { url, builder, rawSha256, changed } = await confirmCommand(
    { tag: formatTag(tag), build: { disk, lock }, repository },
    step.context,
    { ...step.env, SEEDER_SIGNING_KEY: key },
  )
  return {
    outputs: { version: tag.version, digest: rawSha256, 'release-url': url, changed },
    summary: formatSummary({
      ...tag,
      progress: { reached: 'candidate' },
      links: { [formatTag(tag)]: url },
      remarks: [changed ? `Confirmed: ${builder} built the same disk.` : `Already confirmed by ${builder}.`],
    }),
  }
}
