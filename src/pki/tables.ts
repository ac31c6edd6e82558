import type { Issued } from './issue.ts'
import { type Finding, shortDate } from './judgement.ts'

type Table = [header: string[], rows: string[][]]

/** What is there: one row per certificate. */
export function listTable(findings: readonly Finding[]): Table {
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
export function checkTable(findings: readonly Finding[]): Table {
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

/** A certificate for a program that reads it. */
export function findingRecord({ name, kind, facts, entry, problem }: Finding) {
  return {
    name,
    kind,
    authority: entry.authority ?? null,
    subject: facts?.subject ?? null,
    names: facts?.names ?? [],
    serial: facts?.serial ?? null,
    notBefore: facts?.notBefore.toISOString() ?? null,
    notAfter: facts?.notAfter.toISOString() ?? null,
    daysLeft: facts?.daysLeft ?? null,
    certificate: entry.exists ? entry.certificateFile : null,
    key: entry.exists ? entry.keyFile : null,
    problem: problem ?? null,
  }
}

/** What was issued for a program that reads it: where the key is, and never the key. */
export function issuedRecord({ request, outcome, notAfter, certificateFile, keyFile }: Issued) {
  const { name, kind, address } = request
  return {
    ...{ name, kind, address: address ?? null, outcome },
    ...{ notAfter: notAfter.toISOString(), certificate: certificateFile, key: keyFile },
  }
}
