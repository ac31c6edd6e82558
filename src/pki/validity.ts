import type { X509Certificate } from 'node:crypto'
import { SeederError } from '../report/error.ts'
import { type CertificateEntry, namesOf, type PkiInventory, requestOf } from './inventory.ts'
import type { AuthorityName } from './profile.ts'

/** Milliseconds. */
export const DAY_MS = 24 * 60 * 60 * 1000

/** A date, as in 2026-11-24. */
export function shortDate(date: Date): string {
  return date.toISOString().slice(0, 10)
}

/** Whole days until a certificate expires; negative once it has. */
export function daysLeft(certificate: X509Certificate, now: Date): number {
  return Math.floor((certificate.validToDate.getTime() - now.getTime()) / DAY_MS)
}

/** Whether a certificate has expired, or will within this number of days. */
export function expiresWithin(certificate: X509Certificate, now: Date, days: number): boolean {
  return certificate.validToDate.getTime() <= now.getTime() + days * DAY_MS
}

/** The reason why a certificate cannot be used now; undefined when it can. */
export function certificateProblem(
  entry: CertificateEntry,
  { authorities }: PkiInventory,
  now: Date,
): string | undefined {
  const { certificate, kind, authority, damage } = entry
  if (damage !== undefined || certificate === undefined || authority === undefined) return damage
  const issuer = authorities[authority].certificate
  if (issuer === undefined) return `cannot be checked: ${authority} ${authorities[authority].damage}`
  if (!certificate.checkIssued(issuer) || !certificate.verify(issuer.publicKey)) {
    return kind === 'ca'
      ? 'is not signed by itself'
      : `is by another CA than ${authority}, or by an earlier one`
  }
  if (kind === 'ca' && !certificate.ca) return 'is not a CA’s certificate (CA:FALSE)'
  if (certificate.validToDate <= now) return `expired on ${shortDate(certificate.validToDate)}`
  if (certificate.validFromDate > now) {
    return `is not valid before ${certificate.validFromDate.toISOString()}, and this machine’s clock says ${now.toISOString()}`
  }
  if (kind !== 'ca' && requestOf(entry) === undefined) {
    return `is for ${[certificate.subject, ...namesOf(certificate)].join(', ')}, which is not what ${entry.name} is issued for`
  }
  return undefined
}

/**
 * The certificate of a CA.
 * @throws SeederError when the CA cannot be used
 */
export function requireAuthority(name: AuthorityName, inventory: PkiInventory, now: Date): X509Certificate {
  const entry = inventory.authorities[name]
  const problem = certificateProblem(entry, inventory, now)
  if (problem === undefined && entry.certificate) return entry.certificate
  throw new SeederError(`${name} cannot be used: ${entry.folder} ${problem}`, { fix: authorityFix(entry) })
}

/** The fix for a CA with a problem. */
export function authorityFix({ exists, damage }: CertificateEntry): string {
  if (!exists) return 'restore it from a backup, or make a new one with: seeder pki init'
  return damage === undefined
    ? 'see "Replacing a CA" in docs/operations.md'
    : 'restore the folder from a backup; without one remove it, and nothing that this CA has signed counts any more'
}

/** A certificate and the result of its check. */
export interface CheckedCertificate extends CertificateEntry {
  /** Whole days; negative once it has expired, undefined where no certificate can be read. */
  readonly daysLeft: number | undefined
  /** Undefined when there is no problem. */
  readonly problem: string | undefined
}

/** Checks a certificate. `within`: the number of days for which it has to stay valid. */
export function checkCertificate(
  entry: CertificateEntry,
  inventory: PkiInventory,
  now: Date,
  within: number,
): CheckedCertificate {
  const { certificate } = entry
  const left = certificate && daysLeft(certificate, now)
  const soon =
    certificate && expiresWithin(certificate, now, within)
      ? `expires ${left === 0 ? 'within a day' : `in ${left} day${left === 1 ? '' : 's'}`}`
      : undefined
  return { ...entry, daysLeft: left, problem: certificateProblem(entry, inventory, now) ?? soon }
}

/** When a certificate is made, and for how long. */
export interface Lifetime {
  readonly now: Date
  readonly days: number
}

/** The default lifetimes: ten years for CAs, one for other certificates. */
export const defaultDays = { authority: 3650, leaf: 365 } as const

/** Clocks of machines differ, so a new certificate is valid from five minutes ago. */
const BACKDATE_MS = 5 * 60 * 1000

/** The beginning and end of a certificate with this lifetime. */
export function validityPeriod({ now, days }: Lifetime): { notBefore: Date; notAfter: Date } {
  return {
    notBefore: new Date(now.getTime() - BACKDATE_MS),
    notAfter: new Date(now.getTime() + days * DAY_MS),
  }
}

/**
 * Requires that a CA is valid as long as a certificate with this lifetime.
 * @throws SeederError with the number of days that are left
 */
export function requireOutlasting(name: string, authority: X509Certificate, lifetime: Lifetime): void {
  const end = authority.validToDate
  const wanted = validityPeriod(lifetime).notAfter
  if (end >= wanted) return
  const left = Math.floor((end.getTime() - lifetime.now.getTime()) / DAY_MS)
  throw new SeederError(
    `${name} expires on ${shortDate(end)}, and a certificate for ${lifetime.days} days would outlast it (${shortDate(wanted)})`,
    {
      fix: `${left > 0 ? `give --days ${left} at most, and ` : ''}see "Replacing a CA" in docs/operations.md`,
    },
  )
}
