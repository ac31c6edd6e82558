import { z } from 'zod'
import { parseJson, whyNot } from '../../files/json.ts'
import { roles } from '../../platform/roles.ts'
import { SeederError } from '../../report/error.ts'
import { foreignLine } from '../../report/text-schemas.ts'
import type { Host } from '../commands.ts'
import type { Guest } from '../guests.ts'
import { findTemplate, type TemplateEntry } from '../templates.ts'
import type { NodeEntry } from './ledger.ts'
import { classifyMachine } from './machine.ts'

/** A node as it is listed. */
export const nodeRowSchema = z
  .object({
    name: foreignLine,
    role: foreignLine,
    vmid: z.int(),
    addresses: z.record(foreignLine, foreignLine).readonly(),
    /** The version of the template that it is a clone of. */
    version: foreignLine,
    /** The version of the current template; null when there is no current template. */
    current: foreignLine.nullable(),
    /** Whether it was made from another template than the current one; null when there is no current template. */
    behind: z.boolean().nullable(),
    /** `running`, `stopped`; or the problem with it. */
    state: foreignLine,
  })
  .readonly()

export type NodeRow = z.output<typeof nodeRowSchema>

const machines = z.array(z.object({ vmid: z.coerce.number(), status: foreignLine }))

/** The status of each VM of this Proxmox node, by id. */
export async function readStates(host: Host, node: string): Promise<Map<number, string>> {
  const text = await host.output(['pvesh', 'get', `/nodes/${node}/qemu`, '--output-format', 'json'])
  try {
    return new Map(parseJson(text, machines).map(({ vmid, status }) => [vmid, status]))
  } catch (cause) {
    throw new SeederError(`pvesh says nothing that can be read about the VMs of ${node}: ${whyNot(cause)}`, {
      cause,
    })
  }
}

/** What a list of nodes is made from. */
interface NodeFacts {
  readonly entries: readonly NodeEntry[]
  readonly guests: readonly Guest[]
  readonly templates: readonly TemplateEntry[]
  /** As `readStates` returns them. */
  readonly states: ReadonlyMap<number, string>
}

/** All nodes of this host, by role and name. `node` is the host's name in Proxmox VE. */
export function listNodes(node: string, facts: NodeFacts): NodeRow[] {
  const { guests, templates } = facts
  return facts.entries
    .map((entry): NodeRow => {
      const current = findTemplate(roles[entry.role].image, node, guests, templates)
      return {
        name: entry.name,
        role: entry.role,
        vmid: entry.vmid,
        addresses: entry.addresses,
        version: entry.template.version,
        current: current?.version ?? null,
        behind: current ? current.vmid !== entry.template.vmid : null,
        state: stateOf(entry, node, facts),
      }
    })
    .sort((a, b) => a.role.localeCompare(b.role) || a.name.localeCompare(b.name, 'en', { numeric: true }))
}

function stateOf(entry: NodeEntry, node: string, { guests, states }: NodeFacts): string {
  if (entry.state === 'reserved') return 'no VM yet: its place in a cluster is kept'
  if (entry.state === 'creating') return 'half made: the next run undoes it'
  if (entry.state === 'destroying') return 'half destroyed: the next run finishes it'
  const { guest, is } = classifyMachine(entry, node, guests)
  if (is === 'missing') return 'its VM is gone'
  if (is === 'elsewhere') return `on ${guest?.node}`
  if (is !== 'ours') return `VM ${entry.vmid} is another one now`
  const state = states.get(entry.vmid) ?? 'unknown'
  return entry.state === 'starting' ? `${state}, not ready yet` : state
}

/** The table for a person. */
export function nodeTable(rows: readonly NodeRow[]): [string[], string[][]] {
  return [
    ['name', 'role', 'vm', 'addresses', 'template', 'state'],
    rows.map((row) => [
      row.name,
      row.role,
      String(row.vmid),
      Object.values(row.addresses).join(' '),
      row.behind ? `${row.version} (current: ${row.current})` : row.version,
      row.state,
    ]),
  ]
}
