import type { X509Certificate } from 'node:crypto'
import { SeederError } from '../report/error.ts'
import { day, shortDate } from './validity.ts'

/** From when and for how long certificates are made. */
export interface Terms {
  readonly now: Date
  readonly days: number
}

/** What CAs and certificates get when nobody says otherwise: ten years and one. */
export const defaultDays = { authority: 3650, leaf: 365 } as const

/** Clocks of machines differ: a new certificate counts from five minutes ago. */
const backdated = 5 * 60 * 1000

/** When a certificate made on these terms begins and ends. */
export function validity({ now, days }: Terms): { notBefore: Date; notAfter: Date } {
  return {
    notBefore: new Date(now.getTime() - backdated),
    notAfter: new Date(now.getTime() + days * day),
  }
}

/**
 * Makes sure that a CA still counts when a certificate made on these terms ends.
 * @throws SeederError with how many days there are
 */
export function requireOutlasting(name: string, authority: X509Certificate, terms: Terms): void {
  const end = authority.validToDate
  const wanted = validity(terms).notAfter
  if (end >= wanted) return
  const left = Math.floor((end.getTime() - terms.now.getTime()) / day)
  throw new SeederError(
    `${name} expires on ${shortDate(end)}, and a certificate for ${terms.days} days would outlast it (${shortDate(wanted)})`,
    {
      fix: `${left > 0 ? `give --days ${left} at most, and ` : ''}see "Replacing a CA" in docs/operations.md`,
    },
  )
}
