import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { cyclonedxDocument } from '../evidence/cyclonedx.ts'
import { type FileEntry, formatInventory, parseListing, unownedOf } from '../evidence/inventory.ts'
import { LIST_LICENCES, readLicences } from '../evidence/licences.ts'
import { INSTALLED_FORMAT, materialsOf, readInstalled } from '../evidence/materials.ts'
import { cyclonedxName, inventoryName, spdxName } from '../evidence/names.ts'
import { readPackageLists, withOwners } from '../evidence/owners.ts'
import { spdxDocument } from '../evidence/spdx.ts'
import type { EvidenceSubject } from '../evidence/subject.ts'
import type { Image } from '../image/definition.ts'
import type { Lock } from '../image/lock.ts'
import type { ArtifactFile } from './artifacts.ts'
import type { ContainerFile } from './containers/layout.ts'
import type { TreeFile } from './tree.ts'
import { insideOf } from './work.ts'

/**
 * Shell text that records the packages of the tree in the current folder in /out, before the file system is made: owners of
 * files, sources, licences.
 */
export const RECORD_PACKAGES = [
  `( cd var/lib/dpkg/info && mawk '{ print FILENAME "\\t" $0 }' *.list ) > /out/owners`,
  'cp --no-preserve=all var/lib/dpkg/diversions /out/diversions 2> /dev/null || : > /out/diversions',
  `dpkg-query --admindir=var/lib/dpkg -Wf '${INSTALLED_FORMAT}' > /out/installed`,
  `${LIST_LICENCES} > /out/licences`,
].join('\n')

/** The list that a running machine compares itself with; src/build/root.ts makes it. */
export const STATE_LIST = '/var/lib/seeder/state.list'

/** The paths of the two file systems' lists, inside the steps that make them. */
export const USR_LISTS = { listing: '/out/listing', digests: '/out/digests' }
export const STATE_LISTS = { listing: '/scratch/state.listing', digests: '/scratch/state.digests' }

/** The sources of a build's files. */
export interface Origins {
  readonly image: Image
  readonly lock: Lock
  /** The files from upstream artifacts. */
  readonly artifacts: readonly ArtifactFile[]
  /** The files of container images. */
  readonly blobs: readonly ContainerFile[]
  /** The definition's files, and the paths of those made from the platform file. */
  readonly tree: readonly TreeFile[]
  readonly generated: readonly string[]
  /** The layer with the records of `RECORD_PACKAGES` and the lists of /usr. */
  readonly usr: { readonly folder: string }
  readonly uki: { readonly sha256: string; readonly kernel: string }
  /** The program that writes the documents: seeder and its version. */
  readonly tool: { readonly name: string; readonly version: string }
}

/** The evidence that only depends on the image, file name → text, and the numbers of files for the manifest. */
export interface Evidence {
  readonly texts: Readonly<Record<string, string>>
  readonly files: { readonly total: number; readonly unowned: readonly string[] }
}

/** Makes the evidence of an image: the list of its files with their owners, and its bills of materials. */
export async function gatherEvidence(
  subject: EvidenceSubject,
  origins: Origins,
  scratch: string,
): Promise<Evidence> {
  const { image, lock, usr, artifacts, blobs, tree, generated } = origins
  const read = (name: string) => readFile(join(usr.folder, name), 'utf8')
  const entries = [
    ...parseListing(await read('listing'), await read('digests')),
    ...parseListing(
      await readFile(join(insideOf(scratch), 'state.listing'), 'utf8'),
      await readFile(join(insideOf(scratch), 'state.digests'), 'utf8'),
    ),
  ]
  const owned = withOwners(entries.sort(byPath), {
    packages: readPackageLists(await read('owners'), await read('diversions')),
    upstream: new Map([
      ...artifacts.map(({ path, artifact }): [string, string] => [path, `artifact:${artifact}`]),
      ...blobs.map(({ path, container }): [string, string] => [path, `container:${container}`]),
    ]),
    definition: new Set([...tree.map(({ path }) => path), ...generated, ...image.unowned, ...MADE_BY_BUILD]),
    installed: new Set(lock.packages.map(({ name }) => name)),
  })
  const materials = materialsOf({
    lock,
    distribution: image.base.distribution,
    suite: image.base.suite,
    installed: readInstalled(await read('installed')),
    licences: readLicences(await read('licences')),
    uki: origins.uki,
  })
  const spdx = spdxDocument(subject, materials, `${origins.tool.name}-${origins.tool.version}`)
  const { version } = subject
  return {
    texts: {
      [inventoryName(subject)]: formatInventory({ schema: 1, image: image.name, version, files: owned }),
      [spdxName(subject)]: `${JSON.stringify(spdx, null, 1)}\n`,
      [cyclonedxName(subject)]: cyclonedxDocument(subject, materials, origins.tool),
    },
    files: {
      total: owned.filter(({ type }) => type !== 'directory').length,
      unowned: unownedOf({ files: owned }),
    },
  }
}

/** Files that src/build/root.ts itself adds to the root file system. */
const MADE_BY_BUILD = ['/etc/machine-id', '/etc/resolv.conf', '/etc/.updated', '/var/.updated', STATE_LIST]

function byPath(a: FileEntry, b: FileEntry): number {
  return a.path < b.path ? -1 : 1
}
