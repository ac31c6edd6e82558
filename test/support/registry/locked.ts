import type { LockedContainer } from '../../../src/image/lock.ts'

/**
 * A locked image with a configuration of its own, and a layer that all of them have.
 * @param own a hexadecimal digit: its manifest's digest consists of it
 */
export function lockedContainer(name: string, own: string): LockedContainer {
  return {
    name,
    version: 'v1',
    reference: `registry.k8s.io/${name}:v1`,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    size: 400,
    sha256: own.repeat(64),
    blobs: [
      { size: 7, sha256: `${own}0`.repeat(32) },
      { size: 9, sha256: 'f'.repeat(64) },
    ],
  }
}
