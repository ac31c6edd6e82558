import { compareFinished } from '../../commands/diff.ts'
import type { GitHub } from '../../github/client.ts'
import { interruption } from '../../process/interruption.ts'
import { channelsByImage } from '../../release/channel/channels.ts'
import { type BuildRecord, readReleaseRecord } from '../../release/format/build-record.ts'
import { describeError } from '../../report/error.ts'
import type { Step } from '../step.ts'

/** A finished image beside the promoted one, where there is one. */
export interface PromotedComparison {
  readonly promoted: BuildRecord | undefined
  /** With what its packages say of their changes. */
  readonly difference: Awaited<ReturnType<typeof compareFinished>> | undefined
}

/** Compares with the promoted version. That GitHub cannot be asked is a warning: an image is none the worse for it. */
export async function compareWithPromoted(
  finished: BuildRecord,
  github: () => GitHub,
  step: Step,
): Promise<PromotedComparison> {
  try {
    const { releases } = github()
    const release = channelsByImage(await releases.list()).get(finished.manifest.image)?.promoted
    const promoted = release && (await readReleaseRecord(releases, release, interruption))
    return { promoted, difference: promoted && (await compareFinished(promoted, finished, step.context)) }
  } catch (error) {
    interruption.throwIfAborted()
    step.warn(`there is no comparison with the promoted version: ${describeError(error)}`)
    return { promoted: undefined, difference: undefined }
  }
}
