import { z } from 'zod'
import { bundleListName } from '../../build/bundle/format.ts'
import { identityConf, type Manifest } from '../../build/manifest.ts'
import { SUMS_FILE, type Sums } from '../../build/sums.ts'
import { inventorySchema, unownedOf } from '../../evidence/inventory.ts'
import { cyclonedxName, inventoryName, provenanceName, spdxName } from '../../evidence/names.ts'
import { provenanceSchema } from '../../evidence/provenance.ts'
import { checkJson, jsonOf, whyNot } from '../../files/json.ts'
import { decoded } from '../../files/text-file.ts'
import { foreignLine } from '../../report/text-schemas.ts'
import { bundleListProblems } from '../format/bundle-list.ts'
import { agreement, type Finding, unchecked, wrong } from './finding.ts'
import type { ImageFiles } from './image-files.ts'

/** Maximum problems of one file that are named. */
const MOST_NAMED = 3

/**
 * Compares what the files of evidence and template.conf say with the manifest and with the digests of SHA256SUMS. Their
 * own digests are not checked here.
 */
export async function verifyEvidence(files: ImageFiles, manifest: Manifest, sums: Sums): Promise<Finding[]> {
  const findings = [agreement('evidence', `content of ${CONF}`, await confProblems(files, manifest, sums))]
  const packages = 'has the packages of the manifest'
  const checks: readonly (readonly [string, (content: unknown) => string[], string])[] = [
    [inventoryName(manifest), (json) => inventoryProblems(json, manifest), `${manifest.files.total} files`],
    [spdxName(manifest), (json) => spdxProblems(json, manifest), packages],
    [cyclonedxName(manifest), (json) => cyclonedxProblems(json, manifest), packages],
    [provenanceName(manifest), (json) => provenanceProblems(json, manifest, sums), 'is of these very files'],
    [
      bundleListName(manifest),
      (json) => bundleListProblems(json, manifest),
      'lists what this image was built from',
    ],
  ]
  for (const [name, problemsOf, found] of checks) {
    const what = `content of ${name}`
    if (!sums.has(name)) {
      findings.push(unchecked('evidence', what, 'there is none'))
      continue
    }
    try {
      const problems = problemsOf(jsonOf(decoded(await files.read(name), name)))
      findings.push(agreement('evidence', what, problems.slice(0, MOST_NAMED), found))
    } catch (error) {
      findings.push(wrong('evidence', what, whyNot(error)))
    }
  }
  return findings
}

const CONF = 'template.conf'

async function confProblems(files: ImageFiles, manifest: Manifest, sums: Sums): Promise<string[]> {
  if (!sums.has(CONF)) return [`${SUMS_FILE} does not name it`]
  const text = await files.read(CONF).catch(() => '')
  const lines = text.toString().split('\n')
  return Object.entries(identityConf(manifest))
    .filter(([key, value]) => !lines.includes(`${key}=${value}`))
    .map(([key]) => `${key} is not the manifest’s`)
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
      components.flatMap((listed) =>
        listed['bom-ref'].startsWith('package:') ? [[listed.name, listed.version] as const] : [],
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
  const digests = (name: string) =>
    resolvedDependencies.find((dependency) => dependency.name === name)?.digest
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
