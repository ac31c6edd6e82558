import { z } from 'zod'
import { describeError, SeederError } from '../../report/error.ts'

/** A check, and its result. */
export const findingSchema = z
  .object({
    what: z.string(),
    result: z.enum(['right', 'wrong', 'not checked']),
    /** The details, as text. */
    found: z.string(),
  })
  .readonly()

export type Verification = z.output<typeof findingSchema>

/** What a finding is about. `unsigned`: there is no signature; `unlisted`: a file without a digest. */
export type FindingKind =
  | 'contents'
  | 'unsigned'
  | 'signature'
  | 'digest'
  | 'unlisted'
  | 'manifest'
  | 'report'
  | 'disk'
  | 'evidence'
  | 'bundle'

/** A verification, with what decisions depend on. */
export type Finding = Verification & {
  readonly kind: FindingKind
  /** The error that made it wrong, with a fix of its own. */
  readonly error?: SeederError
}

export function right(kind: FindingKind, what: string, found: string): Finding {
  return { kind, what, result: 'right', found }
}

export function unchecked(kind: FindingKind, what: string, found: string): Finding {
  return { kind, what, result: 'not checked', found }
}

/** `error`: a text, or an error of which the first line is shown. */
export function wrong(kind: FindingKind, what: string, error: unknown): Finding {
  if (typeof error === 'string') return { kind, what, result: 'wrong', found: error }
  const found = describeError(error).split('\n')[0] ?? ''
  return { kind, what, result: 'wrong', found, ...(error instanceof SeederError && { error }) }
}

/** Wrong with these problems, right without any. */
export function agreement(
  kind: FindingKind,
  what: string,
  problems: readonly string[],
  found = 'agrees',
): Finding {
  return problems.length === 0 ? right(kind, what, found) : wrong(kind, what, problems.join('; '))
}
