import * as Enums from '@cyclonedx/cyclonedx-library/Enums'
import * as Models from '@cyclonedx/cyclonedx-library/Models'
import * as Serialize from '@cyclonedx/cyclonedx-library/Serialize'
import * as Spec from '@cyclonedx/cyclonedx-library/Spec'
import type { Material } from './materials.ts'
import { type EvidenceSubject, timeOf, uuidOf } from './subject.ts'

const { ComponentType, ExternalReferenceType, HashAlgorithm, LicenseAcknowledgement } = Enums

const componentTypes = {
  package: ComponentType.Library,
  artifact: ComponentType.Application,
  container: ComponentType.Container,
  boot: ComponentType.Firmware,
  definition: ComponentType.Application,
} as const

/**
 * The text of the bill of materials as a CycloneDX 1.6 document. It only depends on the image: two builds of the same disk
 * have the same material.
 */
export function cyclonedxDocument(
  subject: EvidenceSubject,
  materials: readonly Material[],
  tool: { readonly name: string; readonly version: string },
): string {
  const components = new Map(materials.map((material) => [material.id, componentOf(material)]))
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

function componentOf(material: Material): Models.Component {
  const properties = material.source
    ? [
        new Models.Property('seeder:source:name', material.source.name),
        new Models.Property('seeder:source:version', material.source.version),
      ]
    : []
  const references = [
    ...(material.homepage === undefined
      ? []
      : [new Models.ExternalReference(material.homepage, ExternalReferenceType.Website)]),
    ...(material.downloadUrl === undefined
      ? []
      : [new Models.ExternalReference(material.downloadUrl, ExternalReferenceType.Distribution)]),
  ]
  return new Models.Component(componentTypes[material.kind], material.name, {
    bomRef: material.id,
    version: material.version,
    ...(material.note === undefined ? {} : { description: material.note }),
    ...(material.purl === undefined ? {} : { purl: material.purl }),
    ...(material.supplier === undefined
      ? {}
      : { supplier: new Models.OrganizationalEntity({ name: material.supplier.replace(/\s*<.*>$/, '') }) }),
    ...(material.sha256 === undefined
      ? {}
      : { hashes: new Models.HashDictionary([[HashAlgorithm['SHA-256'], material.sha256]]) }),
    ...(material.licence === undefined
      ? {}
      : { licenses: new Models.LicenseRepository([declared(material.licence.expression)]) }),
    externalReferences: new Models.ExternalReferenceRepository(references),
    properties: new Models.PropertyRepository(properties),
  })
}

function declared(expression: string): Models.LicenseExpression {
  const licence = new Models.LicenseExpression(expression)
  licence.acknowledgement = LicenseAcknowledgement.Declared
  return licence
}
