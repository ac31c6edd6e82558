import { PackageURL } from 'packageurl-js'
import type { z } from 'zod'
import { billSchema } from '../evidence/bill.ts'
import { checkJson, whyNot } from '../files/json.ts'
import { SeederError } from '../report/error.ts'
import { oneLine } from '../report/printable.ts'
import type { DistributionRelease } from './advisory.ts'

/** A source package of packages in an image. */
export interface SourcePackage {
  readonly name: string
  readonly version: string
}

/** The contents of an image, from its bill of materials. */
export interface Contained {
  readonly release: DistributionRelease
  /** The distribution's source packages, without duplicates. */
  readonly sources: readonly SourcePackage[]
  /** Packages of other archives, and upstream tarballs: `NAME VERSION`. */
  readonly others: readonly string[]
}

/**
 * Reads our CycloneDX bill of materials.
 * @param file for errors
 * @throws SeederError when it is not ours, or has no package of a distribution
 */
export function readContained(bill: unknown, file: string): Contained {
  const parsed = readBill(bill, file)
  let release: DistributionRelease | undefined
  const sources = new Map<string, SourcePackage>()
  const others: string[] = []
  for (const { 'bom-ref': id, name, version, purl, properties } of parsed.components) {
    if (!/^(package|artifact|container):/.test(id)) continue
    const url = purl === undefined ? undefined : packageUrl(purl, file)
    const suite = url?.qualifiers?.distro
    if (!suite) {
      others.push(`${name} ${version}`)
      continue
    }
    release ??= { distribution: url.namespace ?? '', suite }
    const source = sourceOf(name, version, properties)
    sources.set(`${source.name} ${source.version}`, source)
  }
  if (release) return { release, sources: [...sources.values()], others }
  throw new SeederError(`${file} has no package of a distribution`, { fix: 'build the image again' })
}

function readBill(bill: unknown, file: string): z.output<typeof billSchema> {
  try {
    return checkJson(bill, billSchema)
  } catch (cause) {
    throw new SeederError(`${file} is not a bill of materials of Seeder: ${whyNot(cause)}`, {
      fix: 'build the image again',
      cause,
    })
  }
}

function packageUrl(purl: string, file: string): PackageURL {
  try {
    return PackageURL.fromString(purl)
  } catch (cause) {
    throw new SeederError(`${file} has an invalid package URL: ${oneLine(purl).slice(0, 200)}`, {
      fix: 'build the image again',
      cause,
    })
  }
}

function sourceOf(
  name: string,
  version: string,
  properties: readonly { name: string; value: string }[],
): SourcePackage {
  const property = (key: string) => properties.find((other) => other.name === `seeder:source:${key}`)?.value
  const source = property('name') ?? name
  // A signed kernel has its own source package; trackers use the name of the unsigned one.
  if (/^linux-signed(-|$)/.test(source)) return { name: 'linux', version }
  return { name: source, version: property('version') ?? version }
}
