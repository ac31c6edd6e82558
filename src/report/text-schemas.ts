import { z } from 'zod'
import { bounded, firstUnprintable, oneLine, visible } from './printable.ts'

/** Maximum bytes of a line that others wrote. */
const MOST_LINE = 4096

/** Text of a guest, a release or a file. Unprintable characters become visible, as `\x1b`; line breaks stay. */
export const foreignText = z.string().overwrite(visible)

/** As `foreignText`, on one line: line breaks become visible, too, and a very long line is cut. */
export const foreignLine = z.string().overwrite((text) => bounded(oneLine(text), MOST_LINE))

/** Text of a file that people or this program write: unprintable characters are not allowed. */
export const ownText = z.string().superRefine((text, context) => {
  const found = firstUnprintable(text)
  if (found) context.addIssue(`has ${found.shown}, which does not print; remove it`)
})

/** A SHA-256 digest in hex. */
export const sha256Hex = foreignLine.regex(/^[0-9a-f]{64}$/)
