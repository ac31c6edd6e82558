import { PackageURL } from 'packageurl-js'
import type { z } from 'zod'
import { billSchema } from '../evidence/bill.ts'
import { checkJson, whyNot } from '../files/json.ts'
import { SeederError } from '../report/error.ts'
import { oneLine } from '../report/printable.ts'
import type { DistributionRelease } from './advisory.ts'

/** A source package that something in an image was built from. */
export interface SourcePackage {
  readonly name: string
  readonly version: string
}

/** What an image contains, as its bill of materials says. */
export interface Contained {
  readonly release: DistributionRelease
  /** The distribution's source packages, each once. */
  readonly sources: readonly SourcePackage[]
  /** Packages of other archives, and upstream tarballs: `NAME VERSION`. */
  readonly others: readonly string[]
}

/** Reads a CycloneDX bill of materials of ours, as JSON has it; `file` is for errors. Throws SeederError. */
export function readContained(bill: unknown, file: string): Contained {
  const parsed = readBill(bill, file)
  let release: DistributionRelease | undefined
  const sources = new Map<string, SourcePackage>()
  const others: string[] = []
  for (const { 'bom-ref': id, name, version, purl, properties } of parsed.components) {
    if (!id.startsWith('package:') && !id.startsWith('artifact:')) continue
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
    throw new SeederError(`${file} is not a bill of materials of ours: ${whyNot(cause)}`, {
      fix: 'build the image again',
      cause,
    })
  }
}

function packageUrl(purl: string, file: string): PackageURL {
  try {
    return PackageURL.fromString(purl)
  } catch (cause) {
    throw new SeederError(
      `${file} has something that is not the URL of a package: ${oneLine(purl).slice(0, 200)}`,
      {
        fix: 'build the image again',
        cause,
      },
    )
  }
}

function sourceOf(
  name: string,
  version: string,
  properties: readonly { name: string; value: string }[],
): SourcePackage {
  const property = (key: string) => properties.find((one) => one.name === `seeder:source:${key}`)?.value
  const source = property('name') ?? name
  // A signed kernel is built from a package of its own; trackers know the one that it was signed from.
  if (/^linux-signed(-|$)/.test(source)) return { name: 'linux', version }
  return { name: source, version: property('version') ?? version }
}
