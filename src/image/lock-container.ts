import { hash } from 'node:crypto'
import pMap from 'p-map'
import { z } from 'zod'
import { parseJson, whyNot } from '../files/json.ts'
import { SeederError } from '../report/error.ts'
import { foreignLine } from '../report/text-schemas.ts'
import type { LockedContainer } from './lock.ts'
import { formatReference, parseReference, type Reference } from './reference.ts'
import { readManifest } from './registry.ts'
import type { Containers } from './schema.ts'

/** The machines that images are made for. */
const PLATFORM = 'linux/amd64'

/** A container image of a node is far smaller. Bytes. */
const MOST_BYTES = 2 * 1024 ** 3

const digest = z
  .string()
  .regex(/^sha256:[0-9a-f]{64}$/)
  .transform((text) => text.slice('sha256:'.length))
const descriptor = z.object({ digest, size: z.int().positive() })

/** A list of manifests (OCI image index, or Docker's manifest list). */
const indexSchema = z.object({
  manifests: z.array(
    z.object({
      digest,
      platform: z
        .object({ os: foreignLine, architecture: foreignLine, variant: foreignLine.optional() })
        .optional(),
    }),
  ),
})

const OCI_MANIFEST = 'application/vnd.oci.image.manifest.v1+json'

/** The manifest of one image, in both forms: https://github.com/opencontainers/image-spec/blob/main/manifest.md. */
const manifestSchema = z.object({
  mediaType: z
    .enum([OCI_MANIFEST, 'application/vnd.docker.distribution.manifest.v2+json'])
    .default(OCI_MANIFEST),
  config: descriptor,
  layers: z.array(descriptor),
})

/** What the configuration of an image says that it runs on. */
const configSchema = z.object({ os: foreignLine, architecture: foreignLine })

/**
 * The references of a definition's container images: the listed ones without the excluded, and the further ones; sorted.
 * @param listed what the program of the definition printed, a reference on each line
 * @throws SeederError when a line is no reference, a name is there twice, or a role or exclusion names an image that is not
 */
export function wantedContainers(wanted: Containers, listed: string): Reference[] {
  const lines = listed
    .split('\n')
    .map((line) => line.trim())
    .filter(Boolean)
  const found = [...lines, ...wanted.references].map(parseReference)
  const names = found.map(({ name }) => name)
  const twice = names.find((name, index) => names.indexOf(name) !== index)
  if (twice !== undefined) {
    throw new SeederError(`There are two container images with the name ${twice}`, {
      fix: 'leave one of them out: containers in image.yaml',
    })
  }
  const strange = [...wanted.exclude, ...Object.values(wanted.roles).flat()].find(
    (name) => !names.includes(name),
  )
  if (strange !== undefined) {
    throw new SeederError(`There is no container image ${strange}`, {
      fix: `correct exclude and roles of containers in image.yaml; there are: ${names.join(', ')}`,
    })
  }
  return found.filter(({ name }) => !wanted.exclude.includes(name)).sort((a, b) => (a.name < b.name ? -1 : 1))
}

/**
 * Locks container images: reads the manifests of linux/amd64 from their registries. The blobs are not read; the manifest has
 * their digests and sizes.
 * @throws SeederError when a registry fails, or an image is for other machines
 */
export function lockContainers(references: readonly Reference[]): Promise<LockedContainer[]> {
  return pMap(references, lockContainer, { concurrency: 3 })
}

async function lockContainer(reference: Reference): Promise<LockedContainer> {
  const { tag, name } = reference
  const title = formatReference(reference)
  let bytes = await readManifest(reference, `:${tag}`)
  const index = indexSchema.safeParse(jsonOf(bytes)).data
  if (index) {
    const chosen = chooseManifest(title, index.manifests)
    bytes = await readManifest(reference, `@sha256:${chosen}`)
    checkDigest(title, bytes, chosen)
  }
  const manifest = parsed(title, bytes, manifestSchema)
  const blobs = [manifest.config, ...manifest.layers].map(({ digest: sha256, size }) => ({ size, sha256 }))
  const total = blobs.reduce((sum, { size }) => sum + size, bytes.length)
  if (total > MOST_BYTES) {
    throw new SeederError(`The container image ${title} has ${total} bytes, more than ${MOST_BYTES}`, {
      fix: 'use a smaller one',
    })
  }
  const sha256 = hash('sha256', bytes)
  const config = await readManifest(reference, `@sha256:${sha256}`, { config: true })
  checkDigest(title, config, manifest.config.digest)
  const { os, architecture } = parsed(title, config, configSchema)
  if (`${os}/${architecture}` !== PLATFORM) throw otherPlatform(title, [`${os}/${architecture}`])
  return {
    name,
    version: tag,
    reference: title,
    mediaType: manifest.mediaType,
    size: bytes.length,
    sha256,
    blobs: [...new Map(blobs.map((blob) => [blob.sha256, blob])).values()],
  }
}

function chooseManifest(title: string, manifests: z.output<typeof indexSchema>['manifests']): string {
  const named = manifests.map(({ digest: sha256, platform }) => ({
    sha256,
    platform: platform ? `${platform.os}/${platform.architecture}` : 'unknown',
  }))
  const found = named.find(({ platform }) => platform === PLATFORM)
  if (found) return found.sha256
  throw otherPlatform(title, [...new Set(named.map(({ platform }) => platform))])
}

function otherPlatform(title: string, platforms: readonly string[]): SeederError {
  return new SeederError(
    `The container image ${title} is not for ${PLATFORM}, but for ${platforms.join(', ')}`,
    {
      fix: 'use another image, or another tag: containers in image.yaml',
    },
  )
}

function checkDigest(title: string, bytes: Uint8Array, expected: string): void {
  const found = hash('sha256', bytes)
  if (found === expected) return
  throw new SeederError(
    `The registry of ${title} serves another file than it says: its sha256 is ${found}, not ${expected}`,
    { fix: 'try again; if it stays, use another registry or mirror' },
  )
}

function jsonOf(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(bytes).toString('utf8'))
  } catch {
    return undefined
  }
}

function parsed<T extends z.ZodType>(title: string, bytes: Uint8Array, schema: T): z.output<T> {
  try {
    return parseJson(Buffer.from(bytes).toString('utf8'), schema)
  } catch (cause) {
    throw new SeederError(`What the registry has for ${title} is no container image: ${whyNot(cause)}`, {
      fix: 'check the reference: containers in image.yaml',
      cause,
    })
  }
}
