import { Spec, Validation } from '@cyclonedx/cyclonedx-library'
import { describe, expect, it } from 'vitest'
import { cyclonedxDocument } from '../../../src/evidence/cyclonedx.ts'
import { materialsOf, readInstalled } from '../../../src/evidence/materials.ts'
import { spdxDocument } from '../../../src/evidence/spdx.ts'
import { facts, subject } from '../../support/evidence/facts.ts'

const materials = materialsOf(facts)
const tool = { name: 'seeder', version: '1.2.3' }

describe('what an image is made of', () => {
  it('is the boot image, the definition, artifacts, container images, packages, and the EFI stub from the tools', () => {
    expect(materials.map(({ id }) => id)).toEqual([
      'boot',
      'definition',
      'artifact:etcd',
      'container:kube-proxy',
      ...['linux-image-6.12', 'dracut', 'libc6', 'kubelet'].map((name) => `package:${name}`),
      'tool:systemd-boot-efi',
    ])
  })

  it('has package URLs of the archive that each came from', () => {
    expect(materials.flatMap(({ purl }) => purl ?? [])).toEqual([
      expect.stringMatching(/^pkg:generic\/etcd@3\.7\.2\?checksum=sha256%3A2{64}&download_url=https%3A/),
      expect.stringMatching(
        /^pkg:oci\/kube-proxy@sha256:3{64}\?arch=amd64&repository_url=registry\.k8s\.io%2Fkube-proxy&tag=v1\.37\.1$/,
      ),
      'pkg:deb/ubuntu/linux-image-6.12@6.12.1?arch=amd64&distro=resolute',
      'pkg:deb/ubuntu/dracut@106-6?arch=amd64&distro=resolute',
      'pkg:deb/ubuntu/libc6@2:2.41-12+deb13u4?arch=amd64&distro=resolute',
      'pkg:deb/kubernetes/kubelet@1.37.1-1.1?arch=amd64',
      'pkg:deb/debian/systemd-boot-efi@257.1-1?arch=amd64',
    ])
  })

  it('says what the boot image was made from', () => {
    expect(materials[0]?.madeFrom).toEqual([
      'package:linux-image-6.12',
      'package:dracut',
      'tool:systemd-boot-efi',
      'definition',
    ])
  })

  it('knows sources and maintainers from dpkg', () => {
    expect(readInstalled('libc6:amd64\tglibc\t2.41\t\tSomebody <s@example.internal>\n')).toEqual(
      new Map([
        [
          'libc6',
          {
            source: { name: 'glibc', version: '2.41' },
            homepage: undefined,
            maintainer: 'Somebody <s@example.internal>',
          },
        ],
      ]),
    )
  })
})

describe('CycloneDX', () => {
  const text = cyclonedxDocument(subject, materials, tool)

  it('is valid by its own schema', async () => {
    const validator = new Validation.JsonStrictValidator(Spec.Version.v1dot6)
    expect(await validator.validate(text)).toBeNull()
    const broken = JSON.stringify({ ...JSON.parse(text), components: [{ type: 'nothing', name: 'x' }] })
    expect(await validator.validate(broken)).not.toBeNull()
  })

  it('is the same for the same disk', () => {
    expect(cyclonedxDocument(subject, materialsOf(facts), tool)).toBe(text)
    expect(JSON.parse(text)).toMatchObject({
      metadata: {
        timestamp: '2026-09-21T14:13:20.000Z',
        component: { 'bom-ref': 'image', version: '3.7.2-1' },
      },
    })
    const other = JSON.parse(cyclonedxDocument({ ...subject, rawSha256: 'f'.repeat(64) }, materials, tool))
    expect(other.serialNumber).not.toBe(JSON.parse(text).serialNumber)
  })

  it('ties the boot image to what it was made from', () => {
    const dependencies: { ref: string; dependsOn?: string[] }[] = JSON.parse(text).dependencies
    expect(dependencies.find(({ ref }) => ref === 'boot')?.dependsOn).toContain('package:dracut')
    expect(dependencies.find(({ ref }) => ref === 'image')?.dependsOn).toHaveLength(materials.length)
  })
})

interface Spdx {
  packages: { SPDXID: string; licenseDeclared: string; checksums?: unknown[] }[]
  relationships: { spdxElementId: string; relationshipType: string; relatedSpdxElement: string }[]
  hasExtractedLicensingInfos: { licenseId: string }[]
}

describe('SPDX', () => {
  const document = spdxDocument(subject, materials, 'seeder-1.2.3') as Spdx
  const ids = document.packages.map(({ SPDXID }) => SPDXID)

  it('has ids that are ids, each once, and relations between them only', () => {
    expect(new Set(ids).size).toBe(materials.length + 1)
    for (const id of ids) expect(id).toMatch(/^SPDXRef-[A-Za-z0-9.-]+$/)
    for (const { spdxElementId, relatedSpdxElement } of document.relationships) {
      expect(['SPDXRef-DOCUMENT', ...ids]).toContain(spdxElementId)
      expect(ids).toContain(relatedSpdxElement)
    }
  })

  it('explains every licence that SPDX has no name for', () => {
    const used = document.packages.flatMap(
      ({ licenseDeclared }) => licenseDeclared.match(/LicenseRef-[\w.-]+/g) ?? [],
    )
    expect(document.hasExtractedLicensingInfos.map(({ licenseId }) => licenseId)).toEqual(
      [...new Set(used)].sort(),
    )
  })
})
