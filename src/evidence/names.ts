interface Version {
  readonly image: string
  readonly version: string
}

/** The list of the image's files (src/evidence/inventory.ts). */
export function inventoryName({ image, version }: Version): string {
  return `${image}-${version}.files.json`
}

/** The bill of materials as SPDX. */
export function spdxName({ image, version }: Version): string {
  return `${image}-${version}.spdx.json`
}

/** The bill of materials as CycloneDX. */
export function cyclonedxName({ image, version }: Version): string {
  return `${image}-${version}.cdx.json`
}

/** The provenance, an in-toto statement. */
export function provenanceName({ image, version }: Version): string {
  return `${image}-${version}.provenance.json`
}

export function evidenceNames(version: Version): string[] {
  return [inventoryName(version), spdxName(version), cyclonedxName(version), provenanceName(version)]
}
