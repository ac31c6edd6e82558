import { knownOf } from '../../commands/scan.ts'
import type { BuildRecord } from '../../release/format/build-record.ts'
import type { Known } from '../../scan/known.ts'
import type { InputsOf } from '../input-schemas.ts'
import type { Step } from '../step.ts'

/** What is looked into, of the inputs of a step. */
export type FeedInputs = Pick<InputsOf<'test'>, 'vulnerability-feed' | 'known-exploited'>

/**
 * What feeds know of an image, beside the promoted one. That none is about the image's release is a warning: images of
 * several distributions may have been given the same ones. Throws SeederError for a feed that cannot be read.
 */
export async function knownVulnerabilities(
  finished: BuildRecord,
  promoted: BuildRecord | undefined,
  { 'vulnerability-feed': feed, 'known-exploited': exploited }: FeedInputs,
  step: Pick<Step, 'warn'>,
): Promise<Known> {
  const known = await knownOf(finished, promoted, { feed, exploited })
  if (feed !== undefined && !known.isScanned) step.warn(`vulnerabilities were not scanned: ${known.reason}`)
  return known
}
