import type { FileEntry } from '../../evidence/inventory.ts'
import type { PageFacts } from '../facts.ts'

/** An owner of files: a package, an upstream tarball, a container image, the definition, or nobody. */
export interface Owner {
  readonly name: string
  readonly kind: 'package' | 'artifact' | 'container' | 'definition' | 'nobody'
  readonly version: string | undefined
  readonly source: string | undefined
  readonly licence: string | undefined
  readonly files: number
  /** Bytes, before `/usr` is compressed; undefined when the files are not known. */
  readonly size: number | undefined
  /** Since the version that it was compared with: `new`, or the version before. */
  readonly change: string | undefined
}

/** The owners of the image's files, sorted by name. */
export function packagesOf({ finished, bill, comparison }: PageFacts): Owner[] {
  const { manifest, inventory } = finished
  const held = inventory && sizesByOwner(inventory.files)
  const versionBefore = new Map(comparison?.difference.changed.map(({ name, before }) => [name, before]))
  const added = new Set(comparison?.difference.added.map(({ name }) => name))
  const owner = (kind: Owner['kind'], name: string, version: string | undefined): Owner => {
    const billed = bill.find((entry) => entry.kind === kind && entry.name === name)
    const key = kind === 'definition' || kind === 'nobody' ? kind : `${kind}:${name}`
    const holding = held?.get(key)
    return {
      name,
      kind,
      version,
      source: billed?.source,
      licence: billed?.licence,
      files: holding?.files ?? 0,
      size: held && (holding?.size ?? 0),
      change: versionBefore.get(name) ?? (added.has(name) ? 'new' : undefined),
    }
  }
  return [
    ...Object.entries(manifest.packages).map(([name, version]) => owner('package', name, version)),
    ...Object.entries(manifest.artifacts).map(([name, { version }]) => owner('artifact', name, version)),
    ...Object.entries(manifest.containers).map(([name, { version }]) => owner('container', name, version)),
    ...(held?.has('definition') ? [owner('definition', 'the image’s own definition', undefined)] : []),
    ...(held?.has('nobody') ? [owner('nobody', 'unknown owner', undefined)] : []),
  ].sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0))
}

/** Files and bytes by owner, such as `package:NAME`. */
function sizesByOwner(files: readonly FileEntry[]): Map<string, { files: number; size: number }> {
  const held = new Map<string, { files: number; size: number }>()
  for (const { type, owner, size = 0 } of files) {
    if (type === 'directory') continue
    const key = owner ?? 'nobody'
    const sum = held.get(key) ?? { files: 0, size: 0 }
    held.set(key, { files: sum.files + 1, size: sum.size + size })
  }
  return held
}
