import { existsSync } from 'node:fs'
import { partialOf, removeDurably } from '../../files/atomic-file.ts'
import { SeederError } from '../../report/error.ts'
import type { Host } from '../commands.ts'
import type { Ledger, NodeEntry } from './ledger.ts'
import { awaitIdle, destroyMachine, findMachine, freeLeftoverDisks } from './machine.ts'
import { removeSnippet } from './snippet.ts'

/** What every change of nodes needs. */
export interface NodeWork {
  readonly host: Host
  readonly ledger: Ledger
  /** This Proxmox node's name. */
  readonly node: string
  /** Reports what happens. */
  note(text: string): void
}

/**
 * Recovers from a killed run: finishes what it was destroying, and undoes nodes that were not complete. A node that was
 * complete and started stays as it is.
 * @returns the names of the nodes that are destroyed now
 */
export async function recover(work: NodeWork): Promise<string[]> {
  const gone: string[] = []
  await work.ledger.sweep()
  for (const entry of await work.ledger.read()) {
    // A half-written snippet may contain a key.
    if (existsSync(partialOf(entry.snippet.file))) await removeDurably(partialOf(entry.snippet.file))
    if (entry.state !== 'destroying' && entry.state !== 'creating') continue
    const what = entry.state === 'creating' ? 'undid what it had made of' : 'finished destroying'
    await removeNode(work, entry, entry.state === 'destroying')
    work.note(`an earlier run was cut short: ${what} ${entry.name} (VM ${entry.vmid})`)
    if (entry.state === 'destroying') gone.push(entry.name)
  }
  return gone
}

/**
 * Removes a node: its VM if it is ours, its vendor data, its entry. It may be killed at any point and called again.
 * Unless `forGood`, the entry stays with an address that a cluster reserves for the node.
 */
export async function removeNode(
  work: NodeWork,
  entry: NodeEntry,
  graceful: boolean,
  forGood = entry.state === 'destroying' || !entry.joins,
): Promise<void> {
  const { host, ledger, node } = work
  let found = await findMachine(entry, node)
  if (found.is === 'ours' || found.is === 'incomplete') {
    await awaitIdle(host, entry.vmid)
    found = await findMachine(entry, node)
  }
  const { guest, is } = found
  if (guest && is === 'elsewhere') {
    throw new SeederError(`${entry.name} (VM ${entry.vmid}) has moved to ${guest.node}`, {
      fix: `migrate it back to ${node}: what is known of it is there`,
    })
  }
  if (guest && (is === 'ours' || is === 'incomplete')) {
    // From here on the rest of the VM may not be recognizable any more.
    if (forGood && entry.state !== 'destroying') await ledger.write({ ...entry, state: 'destroying' })
    await destroyMachine(host, entry, guest, graceful)
  } else if (guest) {
    work.note(`VM ${entry.vmid} is not ${entry.name} (any more): it was left alone`)
  } else if (entry.cloned && entry.state === 'creating') {
    await freeLeftoverDisks(host, entry)
  }
  await removeSnippet(entry)
  if (forGood) await ledger.remove(entry.name)
  else await ledger.write({ ...entry, state: 'reserved', cloned: false })
}
