import { compareFinished } from '../../commands/diff.ts'
import type { GitHub } from '../../github/client.ts'
import { interruption } from '../../process/interruption.ts'
import { channelsByImage } from '../../release/channel/channels.ts'
import { type BuildRecord, readReleaseRecord } from '../../release/format/build-record.ts'
import { describeError } from '../../report/error.ts'
import type { Step } from '../step.ts'

/** The promoted version of an image, and the difference from it; undefined when there is none. */
export interface PromotedComparison {
  readonly promoted: BuildRecord | undefined
  /** With the changelogs of the packages. */
  readonly difference: Awaited<ReturnType<typeof compareFinished>> | undefined
}

/** Compares with the promoted version. An error of GitHub is only a warning: it says nothing about the image. */
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
