import { type CertificateFinding, shortDate } from './validity.ts'

type Table = [header: string[], rows: string[][]]

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
