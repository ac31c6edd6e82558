import { type Guest, tagsOf } from '../guests.ts'
import type { NodeEntry } from './ledger.ts'

/** The tags of every node; its role is the third one. */
export const nodeTags = ['seeder', 'node'] as const

/** The description of a node's VM, with the line that marks it as ours. */
export function describeNode(entry: Pick<NodeEntry, 'name' | 'role' | 'token' | 'template'>): string {
  return [
    `${entry.role} ${entry.name}, a clone of template ${entry.template.vmid} (${entry.template.version}), made by \`seeder node\`.`,
    'It is replaced rather than changed. Without the next line Seeder does not touch it any more.',
    '',
    `seeder-node: ${entry.token}`,
  ].join('\n')
}

/**
 * What a guest is to an entry:
 *   ours        the node itself
 *   incomplete  the rest of it: `qm clone` or `qm destroy` was killed, and its configuration no longer names an owner
 *   foreign     another guest
 */
export type Ownership = 'ours' | 'incomplete' | 'foreign'

/** What the guest with an entry's id is to it. */
export function ownership(entry: NodeEntry, guest: Guest): Ownership {
  if (guest.vmid !== entry.vmid || guest.kind !== 'qemu' || !entry.cloned) return 'foreign'
  if (guest.description.split('\n').includes(`seeder-node: ${entry.token}`)) {
    const tags = tagsOf(guest)
    // A clone has the template's tags until it gets its own.
    const expected = ['creating', 'destroying'].includes(entry.state) ? ['seeder'] : nodeTags
    return expected.every((tag) => tags.has(tag)) ? 'ours' : 'foreign'
  }
  if (entry.state === 'creating' || entry.state === 'destroying')
    return isIncomplete(guest) ? 'incomplete' : 'foreign'
  return 'foreign'
}

/**
 * Whether a configuration is what a killed `qm clone` leaves at its beginning, or a killed `qm destroy` at its end, or
 * one of them after its lock was taken away.
 */
function isIncomplete({ settings, description }: Guest): boolean {
  const others = [...settings.keys()].filter((key) => key !== 'lock')
  const lock = settings.get('lock')
  const clone = description.trim() === 'qmclone temporary file'
  if (others.length > 0) return false
  return clone
    ? lock === 'clone' || lock === undefined
    : description === '' && (lock === 'destroyed' || !lock)
}
