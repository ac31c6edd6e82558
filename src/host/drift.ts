import pMap from 'p-map'
import { parseJson, UnreadableJson } from '../files/json.ts'
import {
  type DriftFinding,
  type DriftReport,
  type DriftResult,
  driftResultSchema,
  type NodeDrift,
  type TemplateCheck,
  templateChecksSchema,
} from '../guest/drift-result.ts'
import { roles } from '../platform/roles.ts'
import { describeError, SeederError } from '../report/error.ts'
import { formatTable } from '../report/table.ts'
import { type Argv, failureReason, type Host } from './commands.ts'
import { type Guest, readGuests } from './guests.ts'
import { proxmoxNode } from './node/facts.ts'
import { guestExec } from './node/guest.ts'
import { Ledger, type NodeEntry } from './node/ledger.ts'
import { readStates } from './node/list.ts'
import type { HostReport } from './report.ts'
import { readTemplateEntries, type TemplateEntry } from './templates.ts'

/** Maximum clones that are checked at once: each reads its whole /usr, and all of them may be on one disk. */
const MAX_PARALLEL_CHECKS = 3

/** Enough to read /usr on a host without KVM while other clones do the same. */
const CHECK_SECONDS = 600

/**
 * Checks the clones of this host, and reads the disks of its templates again.
 * @param script how deploy.sh is started
 * @throws SeederError when the host's own state cannot be read
 */
export async function driftReport(
  host: Host,
  script: Argv,
  readReport: () => Promise<HostReport>,
): Promise<DriftReport> {
  const node = proxmoxNode()
  const [report, nodes, guests, entries, states] = await Promise.all([
    readReport(),
    new Ledger().read(),
    readGuests(),
    readTemplateEntries(),
    readStates(host, node),
  ])
  const checked = await checkClones(host, clonesOf(report, nodes, guests, entries), states)
  const templates = await checkTemplates(host, script)
  return { schema: 1, host: node, taken: new Date().toISOString(), nodes: checked, templates }
}

/** Every known clone: those of the host's templates, and nodes whose template was retired. */
export function clonesOf(
  report: HostReport,
  nodes: readonly NodeEntry[],
  guests: readonly Guest[],
  entries: readonly TemplateEntry[],
): KnownClone[] {
  const ofTemplates = report.templates.flatMap(({ image, version, vmid, clones }) =>
    clones.map((clone) => ({
      vmid: clone.vmid,
      image,
      version,
      name: clone.name ?? nameOf(guests, clone.vmid) ?? String(clone.vmid),
      template: entries.find((entry) => entry.vmid === vmid),
    })),
  )
  const others = nodes
    .filter(({ vmid, state }) => state !== 'reserved' && !ofTemplates.some((clone) => clone.vmid === vmid))
    .map(({ name, vmid, role, template }) => ({
      name,
      vmid,
      image: roles[role].image,
      version: template.version,
      template: undefined,
    }))
  return [...ofTemplates, ...others].sort((a, b) => a.vmid - b.vmid)
}

function nameOf(guests: readonly Guest[], vmid: number): string | undefined {
  return guests.find((guest) => guest.vmid === vmid)?.settings.get('name')
}

/** Checks every clone, a few at a time. A clone that does not answer is `unknown`. */
export function checkClones(
  host: Host,
  clones: readonly KnownClone[],
  states: ReadonlyMap<number, string>,
): Promise<NodeDrift[]> {
  return pMap(clones, (clone) => checkClone(host, clone, states.get(clone.vmid)), {
    concurrency: MAX_PARALLEL_CHECKS,
  })
}

async function checkClone(host: Host, clone: KnownClone, state: string | undefined): Promise<NodeDrift> {
  if (state !== 'running') return uncheckedClone(clone, 'unasked', state ?? 'it is not on this Proxmox node')
  try {
    const command: Argv = ['/usr/sbin/seeder-drift', 'check', '--gently']
    const { code, stdout, stderr } = await guestExec(host, clone.vmid, command, CHECK_SECONDS)
    if (code > 2) throw new SeederError(failureReason({ code, stdout, stderr }))
    return compareClone(clone, parseJson(stdout, driftResultSchema))
  } catch (error) {
    if (error instanceof UnreadableJson) {
      const reason = `its report cannot be read (${error.message}): it may be of a version before seeder-drift`
      return uncheckedClone(clone, 'unknown', reason)
    }
    if (error instanceof SeederError) return uncheckedClone(clone, 'unknown', describeError(error))
    throw error
  }
}

/**
 * Reads the disk of every template again.
 * @param script how deploy.sh is started
 * @throws SeederError when deploy.sh cannot do it
 */
export async function checkTemplates(host: Host, script: Argv): Promise<TemplateCheck[]> {
  const ended = await host.run([...script, '--check', '--json'])
  try {
    return parseJson(ended.stdout, templateChecksSchema).templates
  } catch (cause) {
    throw new SeederError(`The templates could not be read again: ${failureReason(ended)}`, {
      fix: 'the deploy.sh on this host may be of another version of Seeder: run scripts/runner.sh install again',
      cause,
    })
  }
}

/** A clone to check. */
export interface KnownClone {
  readonly name: string
  readonly vmid: number
  readonly image: string
  readonly version: string
  /** The ledger's entry of the template it was made of; undefined when that was retired. */
  readonly template: TemplateEntry | undefined
}

/**
 * Compares what a clone reports with what this host knows of its template: what the clone cannot know, or could not
 * forge without knowing the right values.
 */
export function compareClone(clone: KnownClone, reported: DriftResult): NodeDrift {
  const findings = [...compare(clone, reported), ...reported.findings]
  // A wrong total does not hide findings.
  const unnamed = Math.max(reported.total - reported.findings.length, 0)
  const total = findings.length + unnamed
  return {
    ...identityOf(clone),
    state: total > 0 ? 'drifted' : reported.state,
    reason: '',
    total,
    findings,
    accepted: reported.accepted,
  }
}

function compare({ image, version, template }: KnownClone, reported: DriftResult): DriftFinding[] {
  const findings: DriftFinding[] = []
  const is = `${reported.image} ${reported.version}`
  if (is !== `${image} ${version}`) {
    const detail = `it reports ${is}; it was made of ${image} ${version}`
    findings.push({ kind: 'usr-replaced', name: '/usr', detail })
  }
  if (reported.state === 'pending' || !template) return findings
  const { roothash, uki } = template
  if (roothash !== undefined && reported.roothash !== roothash) {
    const detail = `it runs with the root hash ${reported.roothash || 'unknown'}; its template has ${roothash}`
    findings.push({ kind: 'usr-replaced', name: '/usr', detail })
  }
  // The clone itself reports a kernel that was changed after first boot.
  const named = reported.findings.some(({ kind, name }) => kind === 'kernel-changed' && name === UKI_PATH)
  if (uki !== undefined && reported.uki !== uki && !named) {
    const detail = `its sha256 is ${reported.uki || 'unknown'}; its template’s is ${uki}`
    findings.push({ kind: 'kernel-changed', name: UKI_PATH, detail })
  }
  return findings
}

/** The path of the UKI on its partition. */
export const UKI_PATH = 'EFI/BOOT/BOOTX64.EFI'
/** A clone that was not compared, and the reason. */
export function uncheckedClone(clone: KnownClone, state: 'unasked' | 'unknown', reason: string): NodeDrift {
  return { ...identityOf(clone), state, reason, total: 0, findings: [], accepted: [] }
}

function identityOf({ name, vmid, image, version }: KnownClone) {
  return { name, vmid, image, version }
}

/** The number of nodes and templates that differ from what was deployed, or that could not be checked. */
export function driftCount({ nodes, templates }: DriftReport): number {
  return [...nodes, ...templates].filter(({ state }) =>
    ['drifted', 'unknown', 'changed', 'foreign', 'missing', 'unreadable'].includes(state),
  ).length
}

/** The report for a person: a table of nodes, their findings, and a table of templates. */
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
