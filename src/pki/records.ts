import type { X509Certificate } from 'node:crypto'
import { z } from 'zod'
import type { InitializedAuthority } from './authority.ts'
import type { Exposure } from './folder.ts'
import { namesOf } from './inventory.ts'
import type { Issued } from './issue.ts'
import { authorityNames, kindNames } from './profile.ts'
import { type CheckedCertificate, shortDate } from './validity.ts'

// What the commands print: paths of keys, never a key. Times are ISO 8601, in UTC.
const time = z.iso.datetime()

/** `seeder pki init --json`. */
export const initializedSchema = z.object({
  folder: z.string(),
  authorities: z.array(
    z.object({
      name: z.enum(authorityNames),
      outcome: z.enum(['made', 'kept']),
      notAfter: time,
      certificateFile: z.string(),
    }),
  ),
})

/** `seeder pki issue --json`; `renew` prints a list of them. */
export const issuedSchema = z.object({
  name: z.string(),
  kind: z.enum(kindNames),
  /** The address of a member of etcd; null for a client. */
  address: z.string().nullable(),
  outcome: z.enum(['issued', 'kept', 'renewed']),
  notAfter: time,
  /** Paths of the files. */
  certificate: z.string(),
  key: z.string(),
})

const certificate = z.object({
  name: z.string(),
  kind: z.enum([...kindNames, 'ca', 'unknown']),
  /** The CA that should have signed it; its own name for a CA, null for the kind `unknown`. */
  authority: z.enum(authorityNames).nullable(),
  // Null or empty where no certificate can be read.
  subject: z.string().nullable(),
  names: z.array(z.string()),
  serial: z.string().nullable(),
  notBefore: time.nullable(),
  notAfter: time.nullable(),
  /** Whole days; negative once it has expired. */
  daysLeft: z.int().nullable(),
  /** Paths of the files, null when neither exists. */
  certificate: z.string().nullable(),
  key: z.string().nullable(),
  /** What is wrong with it. */
  problem: z.string().nullable(),
})

/** `seeder pki list --json`. */
export const listedSchema = z.object({
  certificates: z.array(certificate),
  /** JOIN_CA_HASH for nodes that join Kubernetes; null without kubernetes-ca. */
  joinCaHash: z.string().nullable(),
})

/** `seeder pki check --json`. */
export const checkedSchema = z.object({
  ok: z.boolean(),
  /** A certificate that expires within this number of days is a problem. */
  within: z.int(),
  certificates: z.array(certificate),
  permissions: z.array(z.object({ path: z.string(), problem: z.string() })),
})

/** `seeder pki export --json`. */
export const exportedSchema = z.array(
  z.object({ authority: z.enum(authorityNames), file: z.string(), outcome: z.enum(['written', 'kept']) }),
)

export function initializedRecord(
  folder: string,
  authorities: readonly InitializedAuthority[],
): z.output<typeof initializedSchema> {
  return {
    folder,
    authorities: authorities.map((authority) => ({
      ...authority,
      notAfter: authority.notAfter.toISOString(),
    })),
  }
}

export function issuedRecord(issued: Issued): z.output<typeof issuedSchema> {
  const { request, outcome, notAfter, certificateFile, keyFile } = issued
  const { name, kind, address } = request
  return {
    name,
    kind,
    address: address ?? null,
    outcome,
    notAfter: notAfter.toISOString(),
    certificate: certificateFile,
    key: keyFile,
  }
}

function certificateRecord(checked: CheckedCertificate): z.output<typeof certificate> {
  const { name, kind, authority, exists, certificate: found } = checked
  return {
    name,
    kind,
    authority: authority ?? null,
    subject: found ? subjectOf(found) : null,
    names: found ? namesOf(found) : [],
    serial: found?.serialNumber ?? null,
    notBefore: found?.validFromDate.toISOString() ?? null,
    notAfter: found?.validToDate.toISOString() ?? null,
    daysLeft: checked.daysLeft ?? null,
    certificate: exists ? checked.certificateFile : null,
    key: exists ? checked.keyFile : null,
    problem: checked.problem ?? null,
  }
}

function subjectOf({ subject }: X509Certificate): string {
  return subject.replaceAll('\n', ', ')
}

export function listRecord(
  certificates: readonly CheckedCertificate[],
  joinCaHash: string | undefined,
): z.output<typeof listedSchema> {
  return { certificates: certificates.map(certificateRecord), joinCaHash: joinCaHash ?? null }
}

/** @param within in days, as requested */
export function checkRecord(
  certificates: readonly CheckedCertificate[],
  exposures: readonly Exposure[],
  within: number,
): z.output<typeof checkedSchema> {
  const permissions = exposures.map(({ path, problem }) => ({ path, problem }))
  const ok = permissions.length === 0 && certificates.every(({ problem }) => problem === undefined)
  return { ok, within, certificates: certificates.map(certificateRecord), permissions }
}

type Table = [header: string[], rows: string[][]]

/** The table of `list`, a row per certificate. */
export function listTable(certificates: readonly CheckedCertificate[]): Table {
  return [
    ['name', 'kind', 'CA', 'expires', 'folder'],
    certificates.map(({ name, kind, authority, certificate, exists, folder }) => [
      name,
      kind,
      kind === 'ca' ? '-' : (authority ?? '-'),
      certificate ? shortDate(certificate.validToDate) : '-',
      exists ? folder : 'missing',
    ]),
  ]
}

/** The table of `check`, a row per certificate. */
export function checkTable(certificates: readonly CheckedCertificate[]): Table {
  return [
    ['name', 'subject', 'names', 'CA', 'expires', 'days left', 'state'],
    certificates.map(({ name, kind, authority, certificate, daysLeft, problem }) => [
      name,
      certificate ? subjectOf(certificate) : '-',
      (certificate && namesOf(certificate).join(' ')) || '-',
      kind === 'ca' ? '-' : (authority ?? '-'),
      certificate ? shortDate(certificate.validToDate) : '-',
      String(daysLeft ?? '-'),
      problem ?? 'ok',
    ]),
  ]
}
