import { z } from 'zod'
import { foreignLine } from '../report/text-schemas.ts'

/** What `/usr/lib/seeder/status` prints in a guest: its image, and the state of its first boot. */
export const statusSchema = z.object({
  image: foreignLine,
  version: foreignLine,
  role: foreignLine,
  state: z.enum(['ready', 'failed', 'pending']),
  reason: foreignLine,
})

export type GuestStatus = z.output<typeof statusSchema>
