import { z } from 'zod'

/** One thing that was looked at, or could not be. */
export const findingSchema = z
  .object({
    what: z.string(),
    result: z.enum(['right', 'wrong', 'not checked']),
    /** What was found, in words. */
    found: z.string(),
  })
  .readonly()

export type Verification = z.output<typeof findingSchema>
