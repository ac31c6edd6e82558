import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { makePrivateFolder, removeDurably, writeAtomically } from '../../files/atomic-file.ts'
import { parseJson, whyNot } from '../../files/json.ts'
import { readText } from '../../files/text-file.ts'
import { roleNames } from '../../platform/schema.ts'
import { SeederError } from '../../report/error.ts'

/** Where this host has an entry for every node that it made or is about to make. */
export const NODE_LEDGER = '/var/lib/seeder/nodes'

/** A node's name is its VM's name, its host name, and its name in a cluster: a DNS label that is no number. */
export const nodeName = z.string().regex(/^(?=.*[a-z])[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/)

const member = z.strictObject({ name: nodeName, address: z.ipv4() })

const entrySchema = z.strictObject({
  schema: z.literal(1),
  name: nodeName,
  role: z.enum(roleNames),
  /**
   * reserved    an address in a cluster is kept for it; it has no VM
   * creating    its VM is being made, and was never started: a run that finds it undoes it
   * starting    its VM is complete and was started: a run goes on waiting for it
   * created     done
   * destroying  a run that finds it goes on destroying it
   */
  state: z.enum(['reserved', 'creating', 'starting', 'created', 'destroying']),
  vmid: z.int().min(100),
  /** Stands in the VM's description, too. */
  token: z.string().regex(/^[0-9a-f]{32}$/),
  /** Whether `qm clone` was called: before that, a VM with this id is somebody else's, whatever it looks like. */
  cloned: z.boolean(),
  template: z.strictObject({ vmid: z.int(), version: z.string() }),
  /** By zone; zones whose addresses come by DHCP are not in it. */
  addresses: z.record(z.string(), z.ipv4()),
  /** The vendor data, as a volume and as a file. */
  snippet: z.strictObject({ volume: z.string(), file: z.string().startsWith('/') }),
  /** The values that the operator gave it, without secrets: a node that takes its place gets them, too. */
  values: z.record(z.string(), z.string()),
  /** The cluster that it was founded with, whole: what is missing of it keeps its place. */
  founders: z.strictObject({ token: z.string(), members: z.array(member) }).optional(),
  /** It joins a cluster of etcd that runs. */
  joins: z.boolean(),
  /** The node whose place it takes. */
  replaces: nodeName.optional(),
})

export type NodeEntry = z.output<typeof entrySchema>
export type LedgerMember = z.output<typeof member>

/** The entries of this host, one file each, written as a whole or not at all. */
export class Ledger {
  private readonly folder: string

  constructor(folder = NODE_LEDGER) {
    this.folder = folder
  }

  /**
   * All entries, by name.
   * @throws SeederError for one that cannot be read: whose addresses are not known might be given away
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

  /** Writes an entry, in the place of the one of the same name. */
  async write(entry: NodeEntry): Promise<void> {
    await makePrivateFolder(this.folder)
    await writeAtomically(this.file(entry.name), `${JSON.stringify(entry, null, 2)}\n`)
  }

  /** Removes an entry, if there is one. */
  async remove(name: string): Promise<void> {
    await removeDurably(this.file(name))
  }

  /** Removes what a killed run left half written. */
  async sweep(): Promise<void> {
    const files = await readdir(this.folder).catch(() => [])
    for (const file of files) {
      const [, name] = /^(.+)\.json\.partial$/.exec(file) ?? []
      // An entry that was never finished is of a node of which nothing was made.
      if (name !== undefined) await removeDurably(join(this.folder, file))
    }
  }

  private file(name: string): string {
    return join(this.folder, `${nodeName.parse(name)}.json`)
  }
}

/** An entry's members of etcd have this address; it is the one in the first zone of the role that has one. */
export function mainAddress(entry: Pick<NodeEntry, 'addresses'>): string {
  return Object.values(entry.addresses)[0] ?? ''
}
