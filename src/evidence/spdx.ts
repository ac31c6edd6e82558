import type { Material } from './materials.ts'
import { type EvidenceSubject, timeOf, uuidOf } from './subject.ts'

const IMAGE = 'SPDXRef-image'

/**
 * The bill of materials as an SPDX 2.3 document, which scanners read. It only depends on the image: two builds of the same
 * disk have the same material.
 * @param tool the program that writes it, as `NAME-VERSION`
 */
export function spdxDocument(
  subject: EvidenceSubject,
  materials: readonly Material[],
  tool: string,
): unknown {
  const references = new Map(materials.flatMap(({ licence }) => [...(licence?.references ?? [])]))
  return {
    spdxVersion: 'SPDX-2.3',
    dataLicense: 'CC0-1.0',
    SPDXID: 'SPDXRef-DOCUMENT',
    name: `${subject.image}-${subject.version}`,
    documentNamespace: `urn:uuid:${uuidOf(subject)}`,
    creationInfo: { created: timeOf(subject), creators: [`Tool: ${tool}`] },
    packages: [imagePackage(subject), ...materials.map(packageOf)],
    ...(references.size === 0
      ? {}
      : {
          hasExtractedLicensingInfos: [...references].sort().map(([licenseId, name]) => ({
            licenseId,
            name,
            extractedText: `"${name}" in the machine-readable copyright file of the package, /usr/share/doc/PACKAGE/copyright in the image.`,
          })),
        }),
    relationships: [
      relation('SPDXRef-DOCUMENT', 'DESCRIBES', IMAGE),
      ...materials.map(({ id }) => relation(IMAGE, 'CONTAINS', idOf(id))),
      ...materials.flatMap(({ id, madeFrom }) =>
        madeFrom.map((origin) => relation(idOf(id), 'GENERATED_FROM', idOf(origin))),
      ),
    ],
  }
}

function imagePackage({ image, version, description, rawSha256, qcow2 }: EvidenceSubject): unknown {
  return {
    SPDXID: IMAGE,
    name: image,
    versionInfo: version,
    description,
    packageFileName: qcow2.file,
    primaryPackagePurpose: 'OPERATING-SYSTEM',
    downloadLocation: 'NOASSERTION',
    filesAnalyzed: false,
    checksums: [{ algorithm: 'SHA256', checksumValue: qcow2.sha256 }],
    comment: `The disk itself, uncompressed, has the sha256 ${rawSha256}.`,
    ...licences(undefined),
  }
}

const purposes = {
  package: undefined,
  artifact: 'APPLICATION',
  container: 'CONTAINER',
  boot: 'FIRMWARE',
  definition: 'INSTALL',
} as const

function packageOf(material: Material): unknown {
  const purpose = purposes[material.kind]
  return {
    SPDXID: idOf(material.id),
    name: material.name,
    versionInfo: material.version,
    ...(material.supplier === undefined ? {} : { supplier: personOf(material.supplier) }),
    downloadLocation: material.downloadUrl ?? 'NOASSERTION',
    filesAnalyzed: false,
    ...(material.homepage === undefined ? {} : { homepage: material.homepage }),
    ...(purpose === undefined ? {} : { primaryPackagePurpose: purpose }),
    ...(material.sha256 === undefined
      ? {}
      : { checksums: [{ algorithm: 'SHA256', checksumValue: material.sha256 }] }),
    ...(material.source === undefined
      ? {}
      : { sourceInfo: `built from ${material.source.name} ${material.source.version}` }),
    ...licences(material.licence?.expression),
    ...(material.note === undefined ? {} : { comment: material.note }),
    ...(material.purl === undefined
      ? {}
      : {
          externalRefs: [
            { referenceCategory: 'PACKAGE-MANAGER', referenceType: 'purl', referenceLocator: material.purl },
          ],
        }),
  }
}

function licences(declared: string | undefined): Record<string, string> {
  return {
    licenseConcluded: 'NOASSERTION',
    licenseDeclared: declared ?? 'NOASSERTION',
    copyrightText: 'NOASSERTION',
  }
}

/** Debian's maintainer field, "Name <address>", in SPDX's syntax: a team is an organisation. */
function personOf(maintainer: string): string {
  const [, name = maintainer, address] = /^(.*?)\s*<([^>]+)>$/.exec(maintainer) ?? []
  return `Organization: ${name.replaceAll('"', '')}${address === undefined ? '' : ` (${address})`}`
}

/** SPDX allows only letters, digits, dots and hyphens in ids. */
function idOf(id: string): string {
  return `SPDXRef-${id.replace(/[^A-Za-z0-9.-]/g, (char) => (char === ':' ? '-' : `-x${char.codePointAt(0)?.toString(16)}-`))}`
}

function relation(from: string, relationshipType: string, to: string): unknown {
  return { spdxElementId: from, relationshipType, relatedSpdxElement: to }
}
