import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import type { SigningKey } from '../archive/key.ts'
import { type ReleaseHead, releaseText } from '../archive/release.ts'

/** A package's place in an archive. */
export interface Entry {
  readonly name: string
  readonly version: string
  readonly suite: string
  readonly component: string
  /** Of its index, with the path of its file below the archive's URL. */
  readonly paragraph: string
}

/** The flaws of a suite. */
export interface Flaws {
  /** The key that signs it instead of the archive's; null: it is not signed. */
  readonly signer?: SigningKey | null
  readonly validUntil?: Date
  /** Packages that are missing in its indexes. */
  readonly without?: readonly string[]
}

/** The pockets and components of Ubuntu that a base uses. */
export const SUITES = ['resolute', 'resolute-updates', 'resolute-security']
export const COMPONENTS = ['main', 'universe']

/** The path of an index below the archive's URL. */
export function indexPath(suite: string, component: string): string {
  return `dists/${suite}/${component}/binary-amd64/Packages.gz`
}

/** An archive in Ubuntu's form. */
export interface Archive {
  readonly folder: string
  readonly entries: readonly Entry[]
  /** Of the Release files. */
  readonly date: Date
  readonly key: SigningKey
}

/** Writes indexes, Release and InRelease of a suite. */
export async function publishSuite(
  { folder, entries, date, key }: Archive,
  suite: string,
  flaws: Flaws = {},
): Promise<void> {
  const indexes = new Map<string, Buffer>()
  for (const component of COMPONENTS) {
    const listed = entries.filter((entry) => entry.suite === suite && entry.component === component)
    const kept = listed.filter(({ name }) => !flaws.without?.includes(name))
    const index = Buffer.from(kept.map(({ paragraph }) => paragraph).join('\n'))
    const packed = gzipSync(index)
    const path = `${component}/binary-amd64/Packages`
    // As in Ubuntu, the Release lists the plain index, but only the packed one exists.
    indexes.set(path, index).set(`${path}.gz`, packed)
    await mkdir(join(folder, 'dists', suite, component, 'binary-amd64'), { recursive: true })
    await writeFile(join(folder, indexPath(suite, component)), packed)
  }
  const head = {
    origin: 'Ubuntu',
    label: 'Ubuntu',
    suite,
    codename: 'resolute',
    components: COMPONENTS,
    date,
    ...(flaws.validUntil ? { validUntil: flaws.validUntil } : {}),
  }
  await writeRelease(
    join(folder, 'dists', suite),
    head,
    indexes,
    flaws.signer === undefined ? key : flaws.signer,
  )
}

/** Writes a flat repository (suite `/`) with its key beside it, in the form of the Kubernetes project. */
export async function publishFlat(
  { folder, date, key }: Omit<Archive, 'entries'>,
  name: string,
  paragraphs: readonly string[],
): Promise<void> {
  const index = Buffer.from(paragraphs.join('\n'))
  const packed = gzipSync(index)
  await writeFile(join(folder, 'Packages'), index)
  await writeFile(join(folder, 'Packages.gz'), packed)
  await writeFile(join(folder, 'Release.key'), key.armored)
  const head = {
    origin: `build service/${name}`,
    label: name,
    suite: 'deb',
    codename: 'deb',
    components: [],
    date,
  }
  await writeRelease(
    folder,
    head,
    new Map([
      ['Packages', index],
      ['Packages.gz', packed],
    ]),
    key,
  )
}

async function writeRelease(
  folder: string,
  head: ReleaseHead,
  indexes: ReadonlyMap<string, Buffer>,
  signer: SigningKey | null,
): Promise<void> {
  const release = releaseText(head, indexes)
  await rm(join(folder, 'InRelease'), { force: true })
  await writeFile(join(folder, 'Release'), release)
  if (signer) await writeFile(join(folder, 'InRelease'), await signer.sign(release))
}
