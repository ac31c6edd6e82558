import type { TreeEntry } from './tree.ts'

/** Bytes for people, as in the rest of the page. */
export { formatBytes } from '../../report/table.ts'

/** The owner of a file, for people. */
export function describeOwner(owner: string | undefined): string {
  if (owner === undefined) return ''
  const [, kind, name] = /^(package|artifact|container):(.*)$/s.exec(owner) ?? []
  if (kind === 'package') return `package ${name}`
  if (kind === 'artifact') return `tarball ${name}`
  if (kind === 'container') return `container image ${name}`
  return owner === 'definition' ? 'the image’s definition' : 'unknown owner'
}

/** A part of a whole: `12.3 %`. */
export function formatShare(size: number, total: number): string {
  return `${total === 0 ? 0 : ((size / total) * 100).toFixed(1)} %`
}

/** How an entry differs from the version that it was compared with; empty when it is the same. */
export function describeChange({ entries, state, changes }: TreeEntry): string {
  if (entries === undefined) return state ?? ''
  return changes === 0 ? '' : `${changes} changed or new`
}
