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

/** Each reads its whole /usr, and all of them may lie on one disk. */
const MAX_PARALLEL_CHECKS = 3

/** Reading /usr on a host without KVM, while others do. */
const CHECK_SECONDS = 600

/**
 * Asks the clones of this host, and reads its templates again.
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
  const asked = await checkClones(host, clonesOf(report, nodes, guests, entries), states)
  const templates = await checkTemplates(host, script)
  return { schema: 1, host: node, taken: new Date().toISOString(), nodes: asked, templates }
}

/** Every clone that is known: those of the host's templates, and nodes whose template was retired. */
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
    .filter(({ vmid, state }) => state !== 'reserved' && !ofTemplates.some((one) => one.vmid === vmid))
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

/** Asks every clone, a few at a time. One that does not answer is in the result as unknown. */
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
      const reason = `what it says cannot be read (${error.message}): it may be of a version before seeder-drift`
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
    name: clone.name,
    vmid: clone.vmid,
    image: clone.image,
    version: clone.version,
    state: total > 0 ? 'drifted' : said.state,
    reason: '',
    total,
    findings,
    accepted: said.accepted,
  }
}

export function compare({ image, version, template }: KnownClone, said: DriftResult): DriftFinding[] {
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
  const named = said.findings.some(({ kind, name }) => kind === 'kernel-changed' && name === UKI_PATH)
  if (uki !== undefined && said.uki !== uki && !named) {
    const detail = `its sha256 is ${said.uki || 'unknown'}; its template’s is ${uki}`
    findings.push({ kind: 'kernel-changed', name: UKI_PATH, detail })
  }
  return findings
}

/** Where the UKI is on its partition. */
export const UKI_PATH = 'EFI/BOOT/BOOTX64.EFI'
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
