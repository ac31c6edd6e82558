import type { DriftFinding, DriftReport, DriftResult, NodeDrift } from '../../guest/drift-result.ts'
import { formatTable } from '../../report/table.ts'
import type { TemplateEntry } from '../templates.ts'

/** A clone that is to be asked. */
export interface KnownClone {
  readonly name: string
  readonly vmid: number
  readonly image: string
  readonly version: string
  /** The ledger's entry of the template it was made of; undefined when that was retired. */
  readonly template: TemplateEntry | undefined
}

/**
 * What a clone says of itself, held against what this host knows of its template: what a clone cannot know, or could lie
 * about without knowing what it should say.
 */
export function compareClone(clone: KnownClone, said: DriftResult): NodeDrift {
  const findings = [...compare(clone, said), ...said.findings]
  // What it counts wrongly does not hide what it names.
  const unnamed = Math.max(said.total - said.findings.length, 0)
  const total = findings.length + unnamed
  return {
    ...{ name: clone.name, vmid: clone.vmid, image: clone.image, version: clone.version },
    state: total > 0 ? 'drifted' : said.state,
    reason: '',
    ...{ total, findings, accepted: said.accepted },
  }
}

function compare({ image, version, template }: KnownClone, said: DriftResult): DriftFinding[] {
  const findings: DriftFinding[] = []
  const is = `${said.image} ${said.version}`
  if (is !== `${image} ${version}`) {
    const detail = `it says that it is ${is}; it was made of ${image} ${version}`
    findings.push({ kind: 'usr-replaced', name: '/usr', detail })
  }
  if (said.state === 'pending' || !template) return findings
  const { roothash, uki } = template
  if (roothash !== undefined && said.roothash !== roothash) {
    const detail = `it runs with the root hash ${said.roothash || 'of nothing'}; its template has ${roothash}`
    findings.push({ kind: 'usr-replaced', name: '/usr', detail })
  }
  // A kernel that was changed after first boot the clone has named itself.
  const named = said.findings.some(({ kind, name }) => kind === 'kernel-changed' && name === ukiPath)
  if (uki !== undefined && said.uki !== uki && !named) {
    const detail = `its sha256 is ${said.uki || 'unknown'}; its template’s is ${uki}`
    findings.push({ kind: 'kernel-changed', name: ukiPath, detail })
  }
  return findings
}

/** Where the UKI is on its partition. */
const ukiPath = 'EFI/BOOT/BOOTX64.EFI'

/** A clone of which nothing is known, and why. */
export function uncheckedClone(clone: KnownClone, state: 'unasked' | 'unknown', reason: string): NodeDrift {
  const { name, vmid, image, version } = clone
  return { name, vmid, image, version, state, reason, total: 0, findings: [], accepted: [] }
}

/** How many nodes and templates are not what they were made as, or did not say although they could. */
export function driftCount({ nodes, templates }: DriftReport): number {
  return [...nodes, ...templates].filter(({ state }) =>
    ['drifted', 'unknown', 'changed', 'foreign', 'missing', 'unreadable'].includes(state),
  ).length
}

/** The report for a person: two tables, and below each row of a node what was found. */
export function driftText({ nodes, templates }: DriftReport): string {
  const nodeRows = nodes.map(({ name, vmid, image, version, state, reason, total }) => [
    name,
    String(vmid),
    `${image} ${version}`,
    state === 'drifted' ? `drifted: ${total} ${total === 1 ? 'finding' : 'findings'}` : state,
    reason,
  ])
  const templateRows = templates.map(({ image, version, vmid, state, found, sha256 }) => [
    `${image} ${version}`,
    String(vmid),
    state,
    state === 'changed' ? `its disk’s sha256 is ${found}; deployed was ${sha256}` : '',
  ])
  const found = nodes.flatMap(({ name, findings, total, accepted }) => [
    ...findings.map(({ kind, name: what, detail }) => `${name}: ${kind}: ${what} (${detail})`),
    ...(total > findings.length ? [`${name}: and ${total - findings.length} more`] : []),
    ...(accepted.length > 0 ? [`${name}: accepted by an operator: ${accepted.join(', ')}`] : []),
  ])
  return [
    nodes.length > 0
      ? formatTable(['node', 'vm', 'made of', 'state', ''], nodeRows)
      : 'No clone is known here.',
    ...(found.length > 0 ? [found.join('\n')] : []),
    templates.length > 0
      ? formatTable(['template', 'vm', 'disk', ''], templateRows)
      : 'There are no templates yet.',
  ].join('\n\n')
}
