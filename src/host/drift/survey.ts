import pMap from 'p-map'
import { parseJson, UnreadableJson } from '../../files/json.ts'
import {
  type DriftReport,
  driftResultSchema,
  type NodeDrift,
  type TemplateCheck,
  templateChecksSchema,
} from '../../guest/drift-result.ts'
import { describeError, SeederError } from '../../report/error.ts'
import { type Argv, type Host, lastWords } from '../commands.ts'
import { type Guest, readGuests } from '../guests.ts'
import { imageOf, proxmoxNode } from '../node/facts.ts'
import { guestExec } from '../node/guest.ts'
import { Ledger, type NodeEntry } from '../node/ledger.ts'
import { readStates } from '../node/list.ts'
import type { HostReport } from '../report.ts'
import { readTemplateEntries, type TemplateEntry } from '../templates.ts'
import { compareClone, type KnownClone, uncheckedClone } from './comparison.ts'

/** Each reads its whole /usr, and all of them may lie on one disk. */
const atOnce = 3

/** Reading /usr on a host without KVM, while others do. */
const timeoutSeconds = 600

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
      ...{ vmid: clone.vmid, image, version },
      name: clone.name ?? nameOf(guests, clone.vmid) ?? String(clone.vmid),
      template: entries.find((entry) => entry.vmid === vmid),
    })),
  )
  const others = nodes
    .filter(({ vmid, state }) => state !== 'reserved' && !ofTemplates.some((one) => one.vmid === vmid))
    .map(({ name, vmid, role, template }) => ({
      ...{ name, vmid, image: imageOf(role), version: template.version, template: undefined },
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
  return pMap(clones, (clone) => checkClone(host, clone, states.get(clone.vmid)), { concurrency: atOnce })
}

async function checkClone(host: Host, clone: KnownClone, state: string | undefined): Promise<NodeDrift> {
  if (state !== 'running') return uncheckedClone(clone, 'unasked', state ?? 'it is not on this Proxmox node')
  try {
    const command: Argv = ['/usr/sbin/seeder-drift', 'check', '--gently']
    const { code, stdout, stderr } = await guestExec(host, clone.vmid, command, timeoutSeconds)
    if (code > 2) throw new SeederError(lastWords({ code, stdout, stderr }))
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
    throw new SeederError(`The templates could not be read again: ${lastWords(ended)}`, {
      fix: 'the deploy.sh on this host may be of another version of Seeder: run scripts/runner.sh install again',
      cause,
    })
  }
}
