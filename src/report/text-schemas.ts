import { z } from 'zod'
import { bounded, firstUnprintable, oneLine, visible } from './printable.ts'

/** So many bytes of a line that somebody else wrote are taken. */
const MOST_LINE = 4096

/**
 * Text that a guest, a release or a file has: what does not print is in sight from here on, as `\x1b`. Lines stay lines.
 */
export const foreignText = z.string().overwrite(visible)

/** As `foreignText`, where one line is expected: a line break is in sight, too, and a very long line is cut. */
export const foreignLine = z.string().overwrite((text) => bounded(oneLine(text), MOST_LINE))

/** Text of a file that people write or that this program wrote for itself: what does not print has no business there. */
export const ownText = z.string().superRefine((text, context) => {
  const found = firstUnprintable(text)
  if (found) context.addIssue(`has ${found.shown}, which does not print; remove it`)
})
