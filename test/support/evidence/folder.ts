import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type BundleFile, bundleListName, formatBundleList } from '../../../src/build/bundle/format.ts'
import type { Manifest } from '../../../src/build/manifest.ts'
import { cyclonedxDocument } from '../../../src/evidence/cyclonedx.ts'
import { formatInventory } from '../../../src/evidence/inventory.ts'
import { materialsOf } from '../../../src/evidence/materials.ts'
import { cyclonedxName, inventoryName, provenanceName, spdxName } from '../../../src/evidence/names.ts'
import { builderOf, provenanceStatement } from '../../../src/evidence/provenance.ts'
import { spdxDocument } from '../../../src/evidence/spdx.ts'
import { sha256 } from '../deploy/image.ts'
import { facts, lock as someLock } from './facts.ts'

/**
 * Adds to a folder with a build the evidence that a build leaves, the list of what it was built from with it, and to
 * SHA256SUMS their digests.
 */
export async function addEvidence(
  folder: string,
  manifest: Manifest,
  inputs: readonly BundleFile[] = someInputs,
): Promise<void> {
  const { image, version, description, base, epoch, raw, qcow2 } = manifest
  const subject = { image, version, description, base, epoch, rawSha256: raw.sha256, qcow2 }
  const packages = Object.entries(manifest.packages).map(([name, packageVersion]) => ({
    name,
    version: packageVersion,
    architecture: 'amd64',
    archive: 'debian',
    size: 1,
    path: `pool/${name}.deb`,
    sha256: sha256(name),
  }))
  const lock = { ...someLock, image, version, base, epoch, packages }
  const materials = materialsOf({ ...facts, lock, distribution: 'debian', suite: 'trixie' })
  const path = '/usr/lib/os-release'
  const files = Array.from({ length: manifest.files.total }, (_, index) => ({
    path: `${path}.${index}`,
    type: 'file' as const,
    mode: '0644',
    ids: '0:0',
    size: 0,
    sha256: sha256(''),
    owner: 'definition',
  }))
  const texts: Record<string, string> = {
    [inventoryName(manifest)]: formatInventory({ schema: 1, image, version, files }),
    [spdxName(manifest)]: JSON.stringify(spdxDocument(subject, materials, 'seeder-0')),
    [cyclonedxName(manifest)]: cyclonedxDocument(subject, materials, { name: 'seeder', version: '0' }),
  }
  texts[bundleListName(manifest)] = formatBundleList({
    schema: 1,
    image,
    version,
    base,
    epoch,
    lock: manifest.lock,
    source: manifest.source,
    raw: { sha256: raw.sha256 },
    files: [...inputs],
  })
  const sumsFile = join(folder, 'SHA256SUMS')
  const own = Object.keys(texts).concat(provenanceName(manifest))
  const sums = (await readFile(sumsFile, 'utf8'))
    .split('\n')
    .filter((line) => line !== '' && !own.some((name) => line.endsWith(name)))
    .concat(Object.entries(texts).map(([name, text]) => `${sha256(text)}  ${name}`))
  const statement = provenanceStatement({
    image,
    version,
    base,
    line: undefined,
    lock,
    lockSha256: manifest.lock.sha256,
    subjects: sums.map((line) => ({ sha256: line.slice(0, 64), name: line.slice(66) })),
    source: manifest.source,
    builder: builderOf({}),
    versions: {},
    startedMs: 0,
    finishedMs: 1,
  })
  texts[provenanceName(manifest)] = JSON.stringify(statement)
  sums.push(`${sha256(JSON.stringify(statement))}  ${provenanceName(manifest)}`)
  for (const [name, text] of Object.entries(texts)) await writeFile(join(folder, name), text)
  await writeFile(sumsFile, `${sums.join('\n')}\n`)
}

/** What a build may have been made from. */
const someInputs: readonly BundleFile[] = ['project/platform.yaml', 'seeder/package.json'].map((path) => ({
  path,
  size: path.length,
  sha256: sha256(path),
}))
