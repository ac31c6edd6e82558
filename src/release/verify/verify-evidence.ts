import { join } from 'node:path'
import { z } from 'zod'
import { bundleListName } from '../../build/bundle/format.ts'
import type { Manifest } from '../../build/manifest.ts'
import { inventorySchema, unownedOf } from '../../evidence/inventory.ts'
import { cyclonedxName, inventoryName, provenanceName, spdxName } from '../../evidence/names.ts'
import { provenanceSchema } from '../../evidence/provenance.ts'
import { checkJson, jsonOf, UnreadableJson, whyNot } from '../../files/json.ts'
import { readText } from '../../files/text-file.ts'
import { foreignLine } from '../../report/text-schemas.ts'
import { bundleListProblems } from '../format/bundle-list.ts'
import type { Verification } from './finding.ts'

/** Digests by file name, as SHA256SUMS has them. */
type Sums = ReadonlyMap<string, string>

/**
 * Looks at what the files of evidence say: whether they are about this image, and agree with its manifest and with the
 * digests of its files. Their own digests are not looked at here.
 */
export async function verifyEvidence(
  folder: string,
  manifest: Manifest,
  sums: Sums,
): Promise<Verification[]> {
  const checks: readonly (readonly [string, (content: unknown) => string[], string])[] = [
    [
      inventoryName(manifest),
      (content) => inventoryProblems(content, manifest),
      `${manifest.files.total} files`,
    ],
    [spdxName(manifest), (content) => spdxProblems(content, manifest), 'has the packages of the manifest'],
    [
      cyclonedxName(manifest),
      (content) => cyclonedxProblems(content, manifest),
      'has the packages of the manifest',
    ],
    [
      provenanceName(manifest),
      (content) => provenanceProblems(content, manifest, sums),
      'is of these very files',
    ],
    [
      bundleListName(manifest),
      (content) => bundleListProblems(content, manifest),
      'lists what this image was built from',
    ],
  ]
  const findings: Verification[] = []
  for (const [name, problemsOf, right] of checks) {
    const what = `content of ${name}`
    if (!sums.has(name)) {
      findings.push({ what, result: 'not checked', found: 'there is none' })
      continue
    }
    const problems = await readJson(join(folder, name)).then(
      (content) => safely(() => problemsOf(content)),
      (error: unknown) => [whyNot(error)],
    )
    findings.push(
      problems.length === 0
        ? { what, result: 'right', found: right }
        : { what, result: 'wrong', found: problems.slice(0, MOST_NAMED).join('; ') },
    )
  }
  return findings
}

/** Maximum problems of one file that are named. */
const MOST_NAMED = 3

async function readJson(file: string): Promise<unknown> {
  return jsonOf(await readText(file))
}

function safely(problems: () => string[]): string[] {
  try {
    return problems()
  } catch (error) {
    if (error instanceof UnreadableJson) return [error.message]
    throw error
  }
}

function inventoryProblems(content: unknown, manifest: Manifest): string[] {
  const inventory = checkJson(content, inventorySchema)
  const total = inventory.files.filter(({ type }) => type !== 'directory').length
  return [
    ...ofThisImage(inventory, manifest),
    ...(total === manifest.files.total
      ? []
      : [`it has ${total} files, the manifest ${manifest.files.total}`]),
    ...(sameList(unownedOf(inventory), manifest.files.unowned)
      ? []
      : ['other files are without an owner than the manifest says']),
  ]
}

const spdxSchema = z.object({
  packages: z.array(
    z.object({
      SPDXID: foreignLine,
      name: foreignLine,
      versionInfo: foreignLine,
      checksums: z.array(z.object({ algorithm: foreignLine, checksumValue: foreignLine })).default([]),
    }),
  ),
})

function spdxProblems(content: unknown, manifest: Manifest): string[] {
  const { packages } = checkJson(content, spdxSchema)
  const image = packages.find(({ SPDXID }) => SPDXID === 'SPDXRef-image')
  if (!image) return ['it describes no image']
  return [
    ...ofThisImage({ image: image.name, version: image.versionInfo }, manifest),
    ...(image.checksums[0]?.checksumValue === manifest.qcow2.sha256 ? [] : ['it is of another disk']),
    ...packageProblems(
      packages.flatMap(({ SPDXID, name, versionInfo }) =>
        SPDXID.startsWith('SPDXRef-package-') ? [[name, versionInfo] as const] : [],
      ),
      manifest,
    ),
  ]
}

const cyclonedxSchema = z.object({
  metadata: z.object({
    component: z.object({
      name: foreignLine,
      version: foreignLine,
      hashes: z.array(z.object({ alg: foreignLine, content: foreignLine })).default([]),
    }),
  }),
  components: z.array(z.object({ 'bom-ref': foreignLine, name: foreignLine, version: foreignLine })),
})

function cyclonedxProblems(content: unknown, manifest: Manifest): string[] {
  const { metadata, components } = checkJson(content, cyclonedxSchema)
  const { component } = metadata
  return [
    ...ofThisImage({ image: component.name, version: component.version }, manifest),
    ...(component.hashes[0]?.content === manifest.qcow2.sha256 ? [] : ['it is of another disk']),
    ...packageProblems(
      components.flatMap((one) =>
        one['bom-ref'].startsWith('package:') ? [[one.name, one.version] as const] : [],
      ),
      manifest,
    ),
  ]
}

function provenanceProblems(content: unknown, manifest: Manifest, sums: Sums): string[] {
  const { subject, predicate } = checkJson(content, provenanceSchema)
  const subjects = new Map(subject.map(({ name, digest }) => [name, digest.sha256]))
  const own = provenanceName(manifest)
  const { resolvedDependencies } = predicate.buildDefinition
  const digests = (name: string) => resolvedDependencies.find((one) => one.name === name)?.digest
  const digest = (name: string, kind: string) =>
    Object.entries(digests(name) ?? {}).find(([key]) => key === kind)?.[1]
  return [
    ...[...sums]
      .filter(([name, sha256]) => name !== own && subjects.get(name) !== sha256)
      .map(([name]) => `it is not of this ${name}`),
    ...[...subjects.keys()].filter((name) => !sums.has(name)).map((name) => `it is also of ${name}`),
    ...(digest('lock', 'sha256') === manifest.lock.sha256 ? [] : ['it names another lock']),
    ...((digest('source', 'gitCommit') ?? null) === manifest.source.commit
      ? []
      : ['it names another commit']),
  ]
}

function ofThisImage({ image, version }: { image: string; version: string }, manifest: Manifest): string[] {
  if (image === manifest.image && version === manifest.version) return []
  return [`it is of ${image} ${version}`]
}

function packageProblems(found: readonly (readonly [string, string])[], { packages }: Manifest): string[] {
  const named = new Map(found)
  return [
    ...Object.entries(packages)
      .filter(([name, version]) => named.get(name) !== version)
      .map(([name, version]) => `it does not have ${name} ${version}`),
    ...[...named.keys()].filter((name) => packages[name] === undefined).map((name) => `it has ${name}`),
  ]
}

function sameList(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && one.every((item, index) => item === other[index])
}
