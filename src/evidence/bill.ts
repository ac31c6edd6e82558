import { z } from 'zod'
import { foreignLine } from '../report/text-schemas.ts'

/** A package, upstream tarball or container image in a bill of materials. */
export interface BilledPackage {
  readonly kind: 'package' | 'artifact' | 'container'
  readonly name: string
  readonly version: string
  /** The source package, for a package of a distribution. */
  readonly source: string | undefined
  /** An SPDX expression. */
  readonly licence: string | undefined
}

/** The parts of our CycloneDX documents (src/evidence/cyclonedx.ts) that are read back. */
export const billSchema = z.object({
  components: z.array(
    z.object({
      'bom-ref': foreignLine,
      name: foreignLine,
      version: foreignLine,
      purl: foreignLine.optional(),
      licenses: z.array(z.object({ expression: foreignLine.optional() })).default([]),
      properties: z.array(z.object({ name: foreignLine, value: foreignLine })).default([]),
    }),
  ),
})

/** The packages, tarballs and container images of our CycloneDX document; undefined for any other document. */
export function readBill(document: unknown): BilledPackage[] | undefined {
  return billSchema.safeParse(document).data?.components.flatMap((component) => {
    const [, kind] = /^(package|artifact|container):/.exec(component['bom-ref']) ?? []
    if (kind !== 'package' && kind !== 'artifact' && kind !== 'container') return []
    return {
      kind,
      name: component.name,
      version: component.version,
      source: component.properties.find(({ name }) => name === 'seeder:source:name')?.value,
      licence: component.licenses.find(({ expression }) => expression !== undefined)?.expression,
    }
  })
}
