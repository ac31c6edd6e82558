import * as Enums from '@cyclonedx/cyclonedx-library/Enums'
import * as Models from '@cyclonedx/cyclonedx-library/Models'
import * as Serialize from '@cyclonedx/cyclonedx-library/Serialize'
import * as Spec from '@cyclonedx/cyclonedx-library/Spec'
import type { Material } from './materials.ts'
import { type EvidenceSubject, timeOf, uuidOf } from './subject.ts'

const { ComponentType, ExternalReferenceType, HashAlgorithm, LicenseAcknowledgement } = Enums

const TYPES = {
  package: ComponentType.Library,
  artifact: ComponentType.Application,
  boot: ComponentType.Firmware,
  definition: ComponentType.Application,
} as const

/**
 * The bill of materials as a CycloneDX 1.6 document, text. It only depends on the image: two builds of the same disk have
 * the same one.
 */
export function cyclonedxDocument(
  subject: EvidenceSubject,
  materials: readonly Material[],
  tool: { readonly name: string; readonly version: string },
): string {
  const components = new Map(materials.map((one) => [one.id, componentOf(one)]))
  for (const { id, madeFrom } of materials) {
    for (const origin of madeFrom) {
      const component = components.get(origin)
      if (component) components.get(id)?.dependencies.add(component.bomRef)
    }
  }
  const image = imageComponent(subject)
  for (const { bomRef } of components.values()) image.dependencies.add(bomRef)
  const bom = new Models.Bom({
    serialNumber: `urn:uuid:${uuidOf(subject)}`,
    metadata: new Models.Metadata({
      timestamp: new Date(timeOf(subject)),
      component: image,
      tools: new Models.Tools({
        components: new Models.ComponentRepository([
          new Models.Component(ComponentType.Application, tool.name, { version: tool.version }),
        ]),
      }),
    }),
    components: new Models.ComponentRepository(components.values()),
  })
  const serializer = new Serialize.JsonSerializer(new Serialize.JSON.Normalize.Factory(Spec.Spec1dot6))
  return `${serializer.serialize(bom, { sortLists: true, space: 1 })}\n`
}

function imageComponent({
  image,
  version,
  description,
  base,
  rawSha256,
  qcow2,
}: EvidenceSubject): Models.Component {
  return new Models.Component(ComponentType.OperatingSystem, image, {
    bomRef: 'image',
    version,
    description,
    hashes: new Models.HashDictionary([[HashAlgorithm['SHA-256'], qcow2.sha256]]),
    properties: new Models.PropertyRepository([
      new Models.Property('seeder:base', base),
      new Models.Property('seeder:file', qcow2.file),
      new Models.Property('seeder:raw:sha256', rawSha256),
    ]),
  })
}

function componentOf(one: Material): Models.Component {
  const properties = [
    ...(one.source
      ? [
          new Models.Property('seeder:source:name', one.source.name),
          new Models.Property('seeder:source:version', one.source.version),
        ]
      : []),
  ]
  const references = [
    ...(one.homepage === undefined
      ? []
      : [new Models.ExternalReference(one.homepage, ExternalReferenceType.Website)]),
    ...(one.downloadUrl === undefined
      ? []
      : [new Models.ExternalReference(one.downloadUrl, ExternalReferenceType.Distribution)]),
  ]
  return new Models.Component(TYPES[one.kind], one.name, {
    bomRef: one.id,
    version: one.version,
    ...(one.note === undefined ? {} : { description: one.note }),
    ...(one.purl === undefined ? {} : { purl: one.purl }),
    ...(one.supplier === undefined
      ? {}
      : { supplier: new Models.OrganizationalEntity({ name: one.supplier.replace(/\s*<.*>$/, '') }) }),
    ...(one.sha256 === undefined
      ? {}
      : { hashes: new Models.HashDictionary([[HashAlgorithm['SHA-256'], one.sha256]]) }),
    ...(one.licence === undefined
      ? {}
      : { licenses: new Models.LicenseRepository([declared(one.licence.expression)]) }),
    externalReferences: new Models.ExternalReferenceRepository(references),
    properties: new Models.PropertyRepository(properties),
  })
}

function declared(expression: string): Models.LicenseExpression {
  const licence = new Models.LicenseExpression(expression)
  licence.acknowledgement = LicenseAcknowledgement.Declared
  return licence
}
