import { z } from 'zod'
import type { InitializedAuthority } from './authority.ts'
import type { Exported } from './export.ts'
import type { Exposure } from './folder.ts'
import type { Issued } from './issue.ts'
import { authorityNames, kindNames } from './profile.ts'
import { type CertificateFinding, shortDate } from './validity.ts'

// What the commands print for a program: where keys are, and never a key. Points in time are ISO 8601, in UTC.
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
  /** Of a member of etcd. */
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
  /** The CA that should have signed it; its own name for a CA, null for what is unknown. */
  authority: z.enum(authorityNames).nullable(),
  // Null or empty where there is no certificate to be read.
  subject: z.string().nullable(),
  names: z.array(z.string()),
  serial: z.string().nullable(),
  notBefore: time.nullable(),
  notAfter: time.nullable(),
  /** Whole days; negative once it has expired. */
  daysLeft: z.int().nullable(),
  /** Paths of the files, null when neither is there. */
  certificate: z.string().nullable(),
  key: z.string().nullable(),
  /** What is wrong with it. */
  problem: z.string().nullable(),
})

/** `seeder pki list --json`. */
export const listedSchema = z.object({
  certificates: z.array(certificate),
  /** JOIN_CA_HASH of nodes that join Kubernetes; null without kubernetes-ca. */
  joinCaHash: z.string().nullable(),
})

/** `seeder pki check --json`. */
export const checkedSchema = z.object({
  ok: z.boolean(),
  /** What expires within this number of days counts as wrong. */
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
    authorities: authorities.map(({ name, outcome, notAfter, certificateFile }) => ({
      name,
      outcome,
      notAfter: notAfter.toISOString(),
      certificateFile,
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

function findingRecord({
  name,
  kind,
  facts,
  entry,
  problem,
}: CertificateFinding): z.output<typeof certificate> {
  return {
    name,
    kind,
    authority: entry.authority ?? null,
    subject: facts?.subject ?? null,
    names: [...(facts?.names ?? [])],
    serial: facts?.serial ?? null,
    notBefore: facts?.notBefore.toISOString() ?? null,
    notAfter: facts?.notAfter.toISOString() ?? null,
    daysLeft: facts?.daysLeft ?? null,
    certificate: entry.exists ? entry.certificateFile : null,
    key: entry.exists ? entry.keyFile : null,
    problem: problem ?? null,
  }
}

export function listRecord(
  findings: readonly CertificateFinding[],
  joinCaHash: string | undefined,
): z.output<typeof listedSchema> {
  return { certificates: findings.map(findingRecord), joinCaHash: joinCaHash ?? null }
}

/** @param within in days, as requested */
export function checkRecord(
  findings: readonly CertificateFinding[],
  exposures: readonly Exposure[],
  within: number,
): z.output<typeof checkedSchema> {
  const permissions = exposures.map(({ path, problem }) => ({ path, problem }))
  const ok = permissions.length === 0 && findings.every(({ problem }) => problem === undefined)
  return { ok, within, certificates: findings.map(findingRecord), permissions }
}

export function exportRecord(exported: readonly Exported[]): z.output<typeof exportedSchema> {
  return exported.map(({ authority, file, outcome }) => ({ authority, file, outcome }))
}
export type Table = [header: string[], rows: string[][]]

/** What is there: one row per certificate. */
export function listTable(findings: readonly CertificateFinding[]): Table {
  return [
    ['name', 'kind', 'CA', 'expires', 'folder'],
    findings.map(({ name, kind, facts, entry }) => [
      name,
      kind,
      kind === 'ca' ? '-' : (entry.authority ?? '-'),
      facts ? shortDate(facts.notAfter) : '-',
      entry.exists ? entry.folder : 'missing',
    ]),
  ]
}

/** How it is: one row per certificate. */
export function checkTable(findings: readonly CertificateFinding[]): Table {
  return [
    ['name', 'subject', 'names', 'CA', 'expires', 'days left', 'state'],
    findings.map(({ name, kind, facts, entry, problem }) => [
      name,
      facts?.subject ?? '-',
      facts?.names.join(' ') || '-',
      kind === 'ca' ? '-' : (entry.authority ?? '-'),
      facts ? shortDate(facts.notAfter) : '-',
      facts ? String(facts.daysLeft) : '-',
      problem ?? 'ok',
    ]),
  ]
}
