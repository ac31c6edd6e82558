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

/** How a suite is published, where not as it should be. */
export interface Flaws {
  /** The key that signs it instead of the archive's own; null: it is not signed. */
  readonly signer?: SigningKey | null
  readonly validUntil?: Date
  /** Packages that its indexes do not have. */
  readonly without?: readonly string[]
}

/** Ubuntu's pockets and components, as far as a base asks for them. */
export const SUITES = ['resolute', 'resolute-updates', 'resolute-security']
export const COMPONENTS = ['main', 'universe']

/** The path of an index below the archive's URL: where a fault of it is set. */
export function indexPath(suite: string, component: string): string {
  return `dists/${suite}/${component}/binary-amd64/Packages.gz`
}

/** Writes indexes, Release and InRelease of a suite in Ubuntu's form below `folder`. `date` is the Release file's. */
export async function publishSuite(
  folder: string,
  suite: string,
  entries: readonly Entry[],
  date: Date,
  key: SigningKey,
  flaws: Flaws = {},
): Promise<void> {
  const indexes = new Map<string, Buffer>()
  for (const component of COMPONENTS) {
    const listed = entries.filter((one) => one.suite === suite && one.component === component)
    const kept = listed.filter((one) => !flaws.without?.includes(one.name))
    const index = Buffer.from(kept.map((one) => one.paragraph).join('\n'))
    const packed = gzipSync(index)
    const path = `${component}/binary-amd64/Packages`
    // Like Ubuntu, it lists the plain index and has only the packed one.
    indexes.set(path, index).set(`${path}.gz`, packed)
    await mkdir(join(folder, 'dists', suite, component, 'binary-amd64'), { recursive: true })
    await writeFile(join(folder, indexPath(suite, component)), packed)
  }
  const head = {
    ...{ origin: 'Ubuntu', label: 'Ubuntu', suite, codename: 'resolute', components: COMPONENTS, date },
    ...(flaws.validUntil ? { validUntil: flaws.validUntil } : {}),
  }
  await writeRelease(
    join(folder, 'dists', suite),
    head,
    indexes,
    flaws.signer === undefined ? key : flaws.signer,
  )
}

/** Writes a flat repository (suite `/`) with its key beside it, in the form of the Kubernetes project's. */
export async function publishFlat(
  folder: string,
  name: string,
  paragraphs: readonly string[],
  date: Date,
  key: SigningKey,
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
