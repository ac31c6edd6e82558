import type { Image } from '../../image/definition.ts'
import type { Lock, LockedContainer } from '../../image/lock.ts'
import type { Store } from '../../store/store.ts'
import type { TreeFile } from '../tree.ts'
import { filesOfContainer } from './fetch.ts'

/** In the image: an OCI image layout of all container images, and the part of each role. */
const FOLDER = '/usr/lib/seeder/images'

/** A file of the image from a container image. */
export type ContainerFile = TreeFile & { readonly container: string }

/** The blobs of the layout, each a file of the store. A blob that several images have belongs to the first. */
export function containerBlobs({ containers }: Lock, store: Store): ContainerFile[] {
  const files = new Map<string, ContainerFile>()
  for (const container of containers) {
    for (const { sha256 } of filesOfContainer(container)) {
      const path = `${FOLDER}/${blobPath(sha256)}`
      if (files.has(path)) continue
      files.set(path, { path, source: store.path(sha256), sha256, mode: 0o644, container: container.name })
    }
  }
  return [...files.values()]
}

/**
 * The other files of the layout, path in the image → text: for each role of the image its index, `ROLE.json`, and a list
 * of the index's blobs, `ROLE.blobs`. `import-images` of the node makes an archive of them.
 */
export function containerIndexes(image: Image, { containers }: Lock): Record<string, string> {
  if (containers.length === 0) return {}
  const files: Record<string, string> = { [`${FOLDER}/oci-layout`]: '{"imageLayoutVersion":"1.0.0"}\n' }
  for (const role of image.roles) {
    const own = containers.filter(({ name }) => isOf(image, role, name))
    const blobs = new Set(own.flatMap(filesOfContainer).map(({ sha256 }) => blobPath(sha256)))
    files[`${FOLDER}/${role}.json`] = `${JSON.stringify(indexOf(own), null, 1)}\n`
    files[`${FOLDER}/${role}.blobs`] = [...blobs].map((path) => `${path}\n`).join('')
  }
  return files
}

/** Whether nodes of a role import an image: those that no role has for itself are for all. */
function isOf({ containers }: Image, role: string, name: string): boolean {
  const owners = Object.entries(containers?.roles ?? {}).filter(([, names]) => names.includes(name))
  return owners.length === 0 || owners.some(([owner]) => owner === role)
}

/** https://github.com/opencontainers/image-spec/blob/main/image-index.md, with the name that containerd gives the image. */
function indexOf(containers: readonly LockedContainer[]): unknown {
  return {
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.index.v1+json',
    manifests: containers.map(({ mediaType, sha256, size, reference }) => ({
      mediaType,
      digest: `sha256:${sha256}`,
      size,
      platform: { architecture: 'amd64', os: 'linux' },
      annotations: { 'io.containerd.image.name': reference },
    })),
  }
}

function blobPath(sha256: string): string {
  return `blobs/sha256/${sha256}`
}
