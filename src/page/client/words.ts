import type { Entry } from './tree.ts'

/** Bytes for people, as in the rest of the page. */
export { formatBytes } from '../../report/table.ts'

/** Who owns a file, in words. */
export function ownerWords(owner: string | undefined): string {
  if (owner === undefined) return ''
  const [, kind, name] = /^(package|artifact):(.*)$/s.exec(owner) ?? []
  if (kind === 'package') return `package ${name}`
  if (kind === 'artifact') return `tarball ${name}`
  return owner === 'definition' ? 'the image’s definition' : 'nobody knows whose'
}

/** A part of a whole: `12.3 %`. */
export function share(size: number, total: number): string {
  return `${total === 0 ? 0 : ((size / total) * 100).toFixed(1)} %`
}

/** What became of an entry since the version that it was compared with; empty when nothing did. */
export function changeWords({ entries, state, changes }: Entry): string {
  if (entries === undefined) return state ?? ''
  return changes === 0 ? '' : `${changes} changed or new`
}
