import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { makePrivateFolder, removeDurably, writeAtomically } from '../../files/atomic-file.ts'
import { parseJson, whyNot } from '../../files/json.ts'
import { readText } from '../../files/text-file.ts'
import { roleNames } from '../../platform/schema.ts'
import { SeederError } from '../../report/error.ts'

/** The folder where this host keeps an entry for each node that it made or is about to make. */
export const NODE_LEDGER = '/var/lib/seeder/nodes'

/** A node's name, which is also its VM's name, host name and name in a cluster: a DNS label that is not a number. */
export const nodeName = z.string().regex(/^(?=.*[a-z])[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/)

const member = z.strictObject({ name: nodeName, address: z.ipv4() })

const entrySchema = z.strictObject({
  schema: z.literal(1),
  name: nodeName,
  role: z.enum(roleNames),
  /**
   * reserved    an address in a cluster is reserved for it; it has no VM
   * creating    its VM is being made, and was not started: the next run undoes it
   * starting    its VM is complete and was started: the next run waits for it
   * created     done
   * destroying  the next run finishes destroying it
   */
  state: z.enum(['reserved', 'creating', 'starting', 'created', 'destroying']),
  vmid: z.int().min(100),
  /** The VM's description has it, too. */
  token: z.string().regex(/^[0-9a-f]{32}$/),
  /** Whether `qm clone` was called: before that, a VM with this id is not ours, whatever it looks like. */
  cloned: z.boolean(),
  template: z.strictObject({ vmid: z.int(), version: z.string() }),
  /** By zone; zones whose addresses come by DHCP are not in it. */
  addresses: z.record(z.string(), z.ipv4()),
  /** The vendor data, as a volume and as a file. */
  snippet: z.strictObject({ volume: z.string(), file: z.string().startsWith('/') }),
  /** The values that the operator gave it, without secrets: a node that replaces it gets them, too. */
  values: z.record(z.string(), z.string()),
  /** All founders of its cluster: those that are still to be made keep their addresses. */
  founders: z.strictObject({ token: z.string(), members: z.array(member) }).optional(),
  /** It joins a running cluster of etcd. */
  joins: z.boolean(),
  /** The node that it replaces. */
  replaces: nodeName.optional(),
})

export type NodeEntry = z.output<typeof entrySchema>
export type LedgerMember = z.output<typeof member>

/** The entries of this host, one file each, written atomically. */
export class Ledger {
  private readonly folder: string

  constructor(folder = NODE_LEDGER) {
    this.folder = folder
  }

  /**
   * All entries, by name.
   * @throws SeederError for an entry that cannot be read: another node might get its addresses
   */
  async read(): Promise<NodeEntry[]> {
    const files = await readdir(this.folder).catch(() => [])
    const names = files.filter((file) => file.endsWith('.json')).sort()
    return Promise.all(names.map((file) => this.readOne(file)))
  }

  private async readOne(file: string): Promise<NodeEntry> {
    const path = join(this.folder, file)
    try {
      const entry = parseJson(await readText(path), entrySchema)
      if (`${entry.name}.json` !== file) throw new SeederError(`it is about ${entry.name}`)
      return entry
    } catch (cause) {
      throw new SeederError(`${path} is not an entry that \`seeder node\` wrote: ${whyNot(cause)}`, {
        fix: 'restore it; only when its VM is gone for good, remove it',
        cause,
      })
    }
  }

  /** Writes an entry, replacing the one of the same name. */
  async write(entry: NodeEntry): Promise<void> {
    await makePrivateFolder(this.folder)
    await writeAtomically(this.file(entry.name), `${JSON.stringify(entry, null, 2)}\n`)
  }

  /** Removes an entry, if there is one. */
  async remove(name: string): Promise<void> {
    await removeDurably(this.file(name))
  }

  /** Removes entries that a killed run left half written. */
  async sweep(): Promise<void> {
    const files = await readdir(this.folder).catch(() => [])
    for (const file of files) {
      const [, name] = /^(.+)\.json\.partial$/.exec(file) ?? []
      // Nothing was made of a node whose entry was not finished.
      if (name !== undefined) await removeDurably(join(this.folder, file))
    }
  }

  private file(name: string): string {
    return join(this.folder, `${nodeName.parse(name)}.json`)
  }
}

/** The address by which other nodes know it: that in the first zone of its role where it has one. */
export function mainAddress(entry: Pick<NodeEntry, 'addresses'>): string {
  return Object.values(entry.addresses)[0] ?? ''
}
