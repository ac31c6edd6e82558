import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { materialsOf } from '../../../src/evidence/materials.ts'
import { spdxDocument } from '../../../src/evidence/spdx.ts'
import { debianFacts } from '../../support/evidence/debian-facts.ts'
import { facts, subject } from '../../support/evidence/facts.ts'
import { type SpdxTools, spdxTools } from '../../support/evidence/spdx-tools.ts'

/** Bills of materials as SPDX's own tools, of Debian 13, see them. */
interface Document {
  creationInfo?: unknown
  documentNamespace?: string
  packages: {
    SPDXID: string
    licenseDeclared: string
    checksums?: { checksumValue: string }[]
  }[]
  relationships: { spdxElementId: string; relationshipType: string; relatedSpdxElement: string }[]
  hasExtractedLicensingInfos?: unknown[]
}

let tools: SpdxTools
let document: Document
beforeAll(async () => {
  tools = await spdxTools()
  document = spdxDocument(subject, materialsOf(await debianFacts(tools)), 'seeder-1.2.3') as Document
})
afterAll(() => tools?.remove())

it('finds nothing wrong with an image of real packages, or with one of few', async () => {
  const licences = document.packages.map(({ licenseDeclared }) => licenseDeclared)
  // The document is one that has something to be wrong.
  expect(document.packages.length).toBeGreaterThan(60)
  expect(licences.filter((one) => one !== 'NOASSERTION').length).toBeGreaterThan(30)
  expect(licences.join()).toMatch(/LicenseRef-debian-.* OR /)
  expect(await tools.complaints(document)).toEqual([])
  expect(await tools.complaints(spdxDocument(subject, materialsOf(facts), 'seeder-1.2.3'))).toEqual([])
})

describe('finds what is wrong', () => {
  /** The package that is made wrong. */
  const one = ({ packages }: Document) => packages.at(-1) ?? packages[0] ?? expect.fail('no package')

  it.each<[string, (broken: Document) => void, RegExp]>([
    ['nobody who made it', (broken) => delete broken.creationInfo, /CreationInfo does not exist/],
    ['no name of its own', (broken) => delete broken.documentNamespace, /document_namespace="None"/],
    [
      'a relation to nothing',
      ({ relationships }) =>
        relationships.push({
          spdxElementId: 'SPDXRef-image',
          relationshipType: 'CONTAINS',
          relatedSpdxElement: 'SPDXRef-nothing',
        }),
      /did not find the referenced spdx_id "SPDXRef-nothing"/,
    ],
    [
      'a relation that SPDX does not have',
      ({ relationships }) =>
        relationships.push({
          spdxElementId: 'SPDXRef-image',
          relationshipType: 'EATS',
          relatedSpdxElement: 'SPDXRef-definition',
        }),
      /EATS/,
    ],
    [
      'half a licence',
      (broken) => {
        one(broken).licenseDeclared = 'GPL-2.0-or-later AND (MIT'
      },
      /Error parsing LicenseExpression/,
    ],
    [
      'a licence that nobody knows',
      (broken) => {
        one(broken).licenseDeclared = 'No-Such-1.0'
      },
      /Unrecognized license reference: No-Such-1.0/,
    ],
    [
      'names of licences that are explained nowhere',
      (broken) => delete broken.hasExtractedLicensingInfos,
      /Unrecognized license reference: LicenseRef-debian-/,
    ],
    [
      'a digest that is none',
      (broken) => {
        one(broken).checksums = [{ ...one(broken).checksums?.[0], checksumValue: 'abc' }]
      },
      /must consist of 64 lowercase hexadecimal digits/,
    ],
    [
      'one id for two things',
      ({ packages }) => packages.push({ ...(packages[0] ?? expect.fail()) }),
      /spdx_id must be unique .*SPDXRef-image/,
    ],
  ])('%s', async (_what, breakIt, complaint) => {
    const broken = structuredClone(document)
    breakIt(broken)
    const complaints = await tools.complaints(broken)
    expect(complaints.at(-1)).toBe('it ended with 1')
    expect(complaints.join('\n')).toMatch(complaint)
  })

  it('what is no document', async () => {
    expect(await tools.complaints('{"spdxVersion')).toContain('it ended with 1')
  })
})
