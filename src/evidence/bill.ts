import { z } from 'zod'
import { saidLine } from '../report/text-schemas.ts'

/** What a bill of materials says of one package or upstream tarball. */
export interface BilledPackage {
  readonly kind: 'package' | 'artifact'
  readonly name: string
  readonly version: string
  /** Debian's source package, where it is one of a distribution. */
  readonly source: string | undefined
  /** An SPDX expression. */
  readonly licence: string | undefined
}

/** What is read again of a CycloneDX document of ours (src/evidence/cyclonedx.ts). */
export const billSchema = z.object({
  components: z.array(
    z.object({
      'bom-ref': saidLine,
      name: saidLine,
      version: saidLine,
      purl: saidLine.optional(),
      licenses: z.array(z.object({ expression: saidLine.optional() })).default([]),
      properties: z.array(z.object({ name: saidLine, value: saidLine })).default([]),
    }),
  ),
})

/** Reads the packages and tarballs of such a document; undefined for any other. */
export function readBill(document: unknown): BilledPackage[] | undefined {
  return billSchema.safeParse(document).data?.components.flatMap((one) => {
    const [, kind] = /^(package|artifact):/.exec(one['bom-ref']) ?? []
    if (kind !== 'package' && kind !== 'artifact') return []
    return {
      kind,
      name: one.name,
      version: one.version,
      source: one.properties.find(({ name }) => name === 'seeder:source:name')?.value,
      licence: one.licenses.find(({ expression }) => expression !== undefined)?.expression,
    }
  })
}
