import type { GitHub } from '../../github/client.ts'
import { interruption } from '../../interruption.ts'
import { type Difference, differenceOf, type Finished } from '../../release/difference.ts'
import { describeError } from '../../report/error.ts'
import { readPromoted } from '../promoted.ts'
import type { Step } from '../step.ts'

/** A finished image beside the promoted one, where there is one. */
export interface Comparison {
  readonly promoted: Finished | undefined
  readonly difference: Difference | undefined
}

/** Compares with the promoted version. That GitHub cannot be asked is a warning: an image is none the worse for it. */
export async function compareWithPromoted(
  finished: Finished,
  github: () => GitHub,
  step: Step,
): Promise<Comparison> {
  try {
    const promoted = await readPromoted(github().releases, finished.manifest.image, interruption)
    return { promoted, difference: promoted && differenceOf(promoted, finished) }
  } catch (error) {
    interruption.throwIfAborted()
    step.warn(`there is no comparison with the promoted version: ${describeError(error)}`)
    return { promoted: undefined, difference: undefined }
  }
}
