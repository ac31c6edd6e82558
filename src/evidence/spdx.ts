import type { Material } from './materials.ts'
import { type EvidenceSubject, timeOf, uuidOf } from './subject.ts'

const IMAGE = 'SPDXRef-image'

/**
 * The bill of materials as an SPDX 2.3 document, which is what scanners read. It only depends on the image: two builds
 * of the same disk have the same one.
 * @param tool the program that made it, as `NAME-VERSION`
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
      ...materials.map((one) => relation(IMAGE, 'CONTAINS', idOf(one.id))),
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

const PURPOSE = {
  package: undefined,
  artifact: 'APPLICATION',
  boot: 'FIRMWARE',
  definition: 'INSTALL',
} as const

function packageOf(one: Material): unknown {
  const purpose = PURPOSE[one.kind]
  return {
    SPDXID: idOf(one.id),
    name: one.name,
    versionInfo: one.version,
    ...(one.supplier === undefined ? {} : { supplier: personOf(one.supplier) }),
    downloadLocation: one.downloadUrl ?? 'NOASSERTION',
    filesAnalyzed: false,
    ...(one.homepage === undefined ? {} : { homepage: one.homepage }),
    ...(purpose === undefined ? {} : { primaryPackagePurpose: purpose }),
    ...(one.sha256 === undefined ? {} : { checksums: [{ algorithm: 'SHA256', checksumValue: one.sha256 }] }),
    ...(one.source === undefined
      ? {}
      : { sourceInfo: `built from ${one.source.name} ${one.source.version}` }),
    ...licences(one.licence?.expression),
    ...(one.note === undefined ? {} : { comment: one.note }),
    ...(one.purl === undefined
      ? {}
      : {
          externalRefs: [
            { referenceCategory: 'PACKAGE-MANAGER', referenceType: 'purl', referenceLocator: one.purl },
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

/** Debian's maintainer field, "Name <address>", as SPDX has it: a team is an organisation. */
function personOf(maintainer: string): string {
  const [, name = maintainer, address] = /^(.*?)\s*<([^>]+)>$/.exec(maintainer) ?? []
  return `Organization: ${name.replaceAll('"', '')}${address === undefined ? '' : ` (${address})`}`
}

/** Ids of SPDX have letters, digits, dots and hyphens only. */
function idOf(id: string): string {
  return `SPDXRef-${id.replace(/[^A-Za-z0-9.-]/g, (one) => (one === ':' ? '-' : `-x${one.codePointAt(0)?.toString(16)}-`))}`
}

function relation(from: string, relationshipType: string, to: string): unknown {
  return { spdxElementId: from, relationshipType, relatedSpdxElement: to }
}
