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
import type { TreeFile } from './tree.ts'
import type { Usr } from './usr.ts'
import { insideOf } from './work.ts'

/**
 * Shell text that writes down, in /out, what is known of the packages in the tree in the current folder, before its file
 * system is made: who owns which file, sources, licences.
 */
export const RECORD_PACKAGES = [
  `( cd var/lib/dpkg/info && mawk '{ print FILENAME "\\t" $0 }' *.list ) > /out/owners`,
  'cp --no-preserve=all var/lib/dpkg/diversions /out/diversions 2> /dev/null || : > /out/diversions',
  `dpkg-query --admindir=var/lib/dpkg -Wf '${INSTALLED_FORMAT}' > /out/installed`,
  `${LIST_LICENCES} > /out/licences`,
].join('\n')

/** The list that a running machine compares itself with, as src/build/root.ts makes it. */
export const STATE_LIST = '/var/lib/seeder/state.list'

/** Where the lists of the two file systems are, by the step that makes them. */
export const USR_LISTS = { listing: '/out/listing', digests: '/out/digests' }
export const STATE_LISTS = { listing: '/scratch/state.listing', digests: '/scratch/state.digests' }

/** What a build knows of where its files come from. */
export interface Origins {
  readonly image: Image
  readonly lock: Lock
  /** The files taken from upstream tarballs, by artifact. */
  readonly artifacts: readonly ArtifactFile[]
  /** The definition's files, and the paths of those made from the platform file. */
  readonly tree: readonly TreeFile[]
  readonly generated: readonly string[]
  readonly usr: Usr
  readonly uki: { readonly sha256: string; readonly kernel: string }
  /** What makes the documents: seeder and its version. */
  readonly tool: { readonly name: string; readonly version: string }
}

/** The files of evidence that only depend on the image, name → text, and what the manifest says of its files. */
export interface Evidence {
  readonly texts: Readonly<Record<string, string>>
  readonly files: { readonly total: number; readonly unowned: readonly string[] }
}

/** Puts together what is in a finished image: the list of its files with their owners, and its bills of materials. */
export async function gatherEvidence(
  subject: EvidenceSubject,
  origins: Origins,
  scratch: string,
): Promise<Evidence> {
  const { image, lock, usr, artifacts, tree, generated } = origins
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
    artifacts: new Map(artifacts.map(({ path, artifact }) => [path, artifact])),
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

/** What src/build/root.ts itself puts on the root file system. */
const MADE_BY_BUILD = ['/etc/machine-id', '/etc/resolv.conf', '/etc/.updated', '/var/.updated', STATE_LIST]

function byPath(a: FileEntry, b: FileEntry): number {
  return a.path < b.path ? -1 : 1
}
