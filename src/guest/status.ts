import { z } from 'zod'
import { saidLine } from '../report/text-schemas.ts'

/** What `/usr/lib/seeder/status` prints in a guest: its image, and the state of its first boot. */
export const statusSchema = z.object({
  image: saidLine,
  version: saidLine,
  role: saidLine,
  state: z.enum(['ready', 'failed', 'pending']),
  reason: saidLine,
})

export type GuestStatus = z.output<typeof statusSchema>
