import type { Manifest } from '../build/manifest.ts'
import { SUMS_FILE } from '../build/sums.ts'
import { evidenceNames } from '../evidence/names.ts'
import { formatBytes } from '../report/table.ts'
import type { PageFacts } from './facts.ts'
import { type BootCourse, bootOf } from './view/boot.ts'
import { type BootTest, bootTestOf } from './view/boot-test.ts'
import { changesOf, type VersionChanges } from './view/changes.ts'
import type { Answer } from './view/mark.ts'
import { type Owner, packagesOf } from './view/packages.ts'
import { type Sizes, sizesOf } from './view/sizes.ts'
import { formatTime } from './view/time.ts'
import { type Origin, trustOf } from './view/trust.ts'

/** The content of a page, in its order. */
export interface Page {
  readonly image: string
  readonly version: string
  readonly description: string
  /** Base, kernel, size. */
  readonly line: readonly string[]
  /** To the questions of the person who decides about the image. */
  readonly answers: readonly Answer[]
  readonly identity: readonly Fact[]
  readonly trust: Origin
  readonly bootTest: BootTest
  readonly boot: BootCourse | undefined
  readonly changes: VersionChanges
  /** Undefined when the image's files are not known. */
  readonly sizes: Sizes | undefined
  readonly packages: readonly Owner[]
  readonly documents: readonly Document[]
}

export interface Fact {
  readonly name: string
  readonly value: string
  /** Whether it is a digest or the like, which is shown in a fixed-width font. */
  readonly exact: boolean
}

/** A file of the build. */
export interface Document {
  readonly name: string
  readonly what: string
  readonly sha256: string | undefined
  /** Relative to the page; undefined when the page is in another folder. */
  readonly url: string | undefined
}

/** The name of an image's page, in the folder of its build. */
export function pageName({ image, version }: Pick<Manifest, 'image' | 'version'>): string {
  return `${image}-${version}.report.html`
}

/** The page of an image. It depends only on the facts: not on the time, the machine or the folder. */
export function pageOf(facts: PageFacts): Page {
  const { manifest, record, inventory } = facts.finished
  const bootTest = bootTestOf(manifest, record)
  const trust = trustOf(facts, bootTest)
  const changes = changesOf(facts.comparison)
  return {
    image: manifest.image,
    version: manifest.version,
    description: manifest.description,
    line: [
      manifest.base,
      `kernel ${manifest.kernel.version}`,
      `${Object.keys(manifest.packages).length} packages`,
      `${manifest.files.total} files`,
      formatBytes(manifest.qcow2.size),
    ],
    answers: [bootTest.answer, trust.signed, trust.intact, changes.answer],
    identity: identityOf(manifest),
    trust,
    bootTest,
    changes,
    boot: bootTest.record && bootOf(bootTest.record),
    sizes: inventory && sizesOf(inventory.files, facts.comparison?.difference.files),
    packages: packagesOf(facts),
    documents: documentsOf(facts),
  }
}

function identityOf(manifest: Manifest): Fact[] {
  const { raw, usr, qcow2, kernel, ports, roles, epoch, uki, timings } = manifest
  const fact = (name: string, value: string) => ({ name, value, exact: false })
  const exact = (name: string, value: string) => ({ name, value, exact: true })
  const built = Object.values(timings).reduce((sum, ms) => sum + ms, 0)
  return [
    exact('disk, sha256: its identity', raw.sha256),
    exact('/usr, root hash of dm-verity', usr.roothash),
    exact(`${qcow2.file}, sha256`, qcow2.sha256),
    exact('boot image, sha256', uki.sha256),
    fact(
      'sizes',
      `qcow2 ${formatBytes(qcow2.size)}, disk ${formatBytes(raw.size)}, /usr ${formatBytes(usr.size)} compressed`,
    ),
    fact('roles', roles.join(', ')),
    fact(
      'open ports',
      Object.entries(ports)
        .map(([role, open]) => `${role}: ${open.length === 0 ? 'none' : open.join(', ')}`)
        .join('; ') || 'none',
    ),
    exact('kernel command line', kernel.commandLine),
    fact('time of everything in it', formatTime(epoch)),
    fact('built in', `${(built / 1000).toFixed(1)} s`),
  ]
}

const DOCUMENTS: readonly (readonly [RegExp, string])[] = [
  [/\.qcow2$/, 'the disk'],
  [/\.manifest\.json$/, 'manifest: digests, packages, timings'],
  [/\.files\.json$/, 'every file with its digest and owner'],
  [/\.spdx\.json$/, 'bill of materials, SPDX 2.3'],
  [/\.cdx\.json$/, 'bill of materials, CycloneDX 1.6'],
  [/\.bundle\.json$/, 'list of the files that it was built from'],
  [/\.provenance\.json$/, 'provenance, in-toto with SLSA'],
  [/^template\.conf$/, 'settings of the template on a Proxmox VE host'],
]

function documentsOf({ sums, finished, hasSignature, beside }: PageFacts): Document[] {
  const document = (name: string, what: string) => ({
    name,
    what,
    sha256: sums.get(name),
    url: beside ? encodeURIComponent(name) : undefined,
  })
  const own = new Set(evidenceNames(finished.manifest))
  const listed = [...sums.keys()].map((name) =>
    document(name, DOCUMENTS.find(([pattern]) => pattern.test(name))?.[1] ?? 'listed by SHA256SUMS'),
  )
  return [
    ...listed.toSorted((a, b) => Number(own.has(b.name)) - Number(own.has(a.name))),
    document(SUMS_FILE, 'the digests of all of these'),
    ...(hasSignature ? [document(`${SUMS_FILE}.sig`, 'its signature')] : []),
    ...(finished.record ? [document('test-report.json', 'results of the boot test')] : []),
  ]
}
