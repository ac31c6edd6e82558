import type { X509Certificate } from 'node:crypto'
import { SeederError } from '../report/error.ts'
import { type CertificateEntry, namesOf, type PkiInventory, requestOf } from './inventory.ts'
import type { AuthorityName } from './profile.ts'

/** Milliseconds. */
export const DAY_MS = 24 * 60 * 60 * 1000

/** A date as people read it: 2026-11-24. */
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

/** What makes a certificate useless, in words; undefined when it can be used now. */
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
 * The certificate of a CA that can be used.
 * @throws SeederError when it cannot
 */
export function requireAuthority(name: AuthorityName, inventory: PkiInventory, now: Date): X509Certificate {
  const entry = inventory.authorities[name]
  const problem = certificateProblem(entry, inventory, now)
  if (problem === undefined && entry.certificate) return entry.certificate
  throw new SeederError(`${name} cannot be used: ${entry.folder} ${problem}`, { fix: authorityFix(entry) })
}

/** What to do about a CA that is not as it should be. */
export function authorityFix({ exists, damage }: CertificateEntry): string {
  if (!exists) return 'restore it from a backup, or make a new one with: seeder pki init'
  return damage === undefined
    ? 'see "Replacing a CA" in docs/operations.md'
    : 'restore the folder from a backup; without one remove it, and nothing that this CA has signed counts any more'
}

/** A certificate, and what is to be said about it. */
export interface CertificateFinding {
  readonly name: string
  readonly kind: CertificateEntry['kind']
  /** Null where there is no certificate to be read. */
  readonly facts: {
    readonly subject: string
    readonly names: readonly string[]
    readonly serial: string
    readonly notBefore: Date
    readonly notAfter: Date
    readonly daysLeft: number
  } | null
  readonly entry: CertificateEntry
  /** Undefined when all is well. */
  readonly problem: string | undefined
}

/** Looks at one certificate; one that expires within this number of days is a problem. */
export function checkCertificate(
  entry: CertificateEntry,
  inventory: PkiInventory,
  now: Date,
  within: number,
): CertificateFinding {
  const { name, kind, certificate } = entry
  const left = certificate && daysLeft(certificate, now)
  const soon =
    certificate && expiresWithin(certificate, now, within)
      ? `expires ${left === 0 ? 'within a day' : `in ${left} day${left === 1 ? '' : 's'}`}`
      : undefined
  return {
    name,
    kind,
    entry,
    facts:
      certificate === undefined
        ? null
        : {
            subject: certificate.subject.replaceAll('\n', ', '),
            names: namesOf(certificate),
            serial: certificate.serialNumber,
            notBefore: certificate.validFromDate,
            notAfter: certificate.validToDate,
            daysLeft: daysLeft(certificate, now),
          },
    problem: certificateProblem(entry, inventory, now) ?? soon,
  }
}

/** From when and for how long certificates are made. */
export interface Lifetime {
  readonly now: Date
  readonly days: number
}

/** What CAs and certificates get when nobody says otherwise: ten years and one. */
export const defaultDays = { authority: 3650, leaf: 365 } as const
/** Clocks of machines differ: a new certificate counts from five minutes ago. */
export const BACKDATE_MS = 5 * 60 * 1000
/** When a certificate made on these lifetime begins and ends. */
export function validityPeriod({ now, days }: Lifetime): { notBefore: Date; notAfter: Date } {
  return {
    notBefore: new Date(now.getTime() - BACKDATE_MS),
    notAfter: new Date(now.getTime() + days * DAY_MS),
  }
}

/**
 * Makes sure that a CA still counts when a certificate made on these lifetime ends.
 * @throws SeederError with how many days there are
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
