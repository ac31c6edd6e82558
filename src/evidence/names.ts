/** One version of an image. */
interface Version {
  readonly image: string
  readonly version: string
}

/** The list of the image's files (src/evidence/inventory.ts). */
export function inventoryName({ image, version }: Version): string {
  return `${image}-${version}.files.json`
}

/** The bill of materials in SPDX's form. */
export function spdxName({ image, version }: Version): string {
  return `${image}-${version}.spdx.json`
}

/** The bill of materials in CycloneDX's form. */
export function cyclonedxName({ image, version }: Version): string {
  return `${image}-${version}.cdx.json`
}

/** Where the image comes from, as an in-toto statement. */
export function provenanceName({ image, version }: Version): string {
  return `${image}-${version}.provenance.json`
}

/** All of them. */
export function evidenceNames(version: Version): string[] {
  return [inventoryName(version), spdxName(version), cyclonedxName(version), provenanceName(version)]
}
