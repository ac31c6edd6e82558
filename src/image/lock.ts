import { hash } from 'node:crypto'
import { z } from 'zod'
import { anyJson, parseJson, whyNot } from '../files/json.ts'
import { readText } from '../files/text-file.ts'
import { SeederError } from '../report/error.ts'
import { ownText } from '../report/text-schemas.ts'
import { type Image, requestedPackages } from './definition.ts'

/** The last second of the year 9999: later dates have no common format. */
export const MOST_EPOCH = 253_402_300_799

const sha256 = z.string().regex(/^[0-9a-f]{64}$/)

// Names and paths become parts of command lines, URLs and file paths: only characters that occur in archives are accepted.
const lockedPackage = z.strictObject({
  name: z.string().regex(/^[a-z0-9][a-z0-9+.-]+$/),
  version: z.string().regex(/^[\w.+~:-]+$/),
  architecture: ownText,
  /** The archive of the base, or the repository. */
  archive: ownText,
  /** Path below the archive's URL, as in its index. */
  path: z.string().regex(/^(?!\/)(?!.*(^|\/)\.\.?(\/|$))[\w.+~:%/-]+$/),
  size: z.int().positive(),
  sha256,
})

const lockedArtifact = z.strictObject({
  name: z.string().regex(/^[a-z][a-z0-9-]*$/),
  version: ownText,
  urls: z.array(ownText.regex(/^https?:/)).min(1),
  size: z.int().positive(),
  sha256,
})

/** A blob of a registry: `sha256` of its bytes, `size` in bytes. */
const lockedBlob = z.strictObject({ size: z.int().positive(), sha256 })

const lockedContainer = z.strictObject({
  /** The last part of the repository's name, for example `kube-proxy`. */
  name: z.string().regex(/^[a-z0-9][a-z0-9._-]*$/),
  /** The tag. */
  version: ownText,
  /** Registry, repository and tag. */
  reference: z.string().regex(/^[\w.:/-]+$/),
  /** Of the manifest for linux/amd64, as are size and digest. */
  mediaType: ownText,
  ...lockedBlob.shape,
  /** The configuration, then the layers. */
  blobs: z.array(lockedBlob).min(1),
})

/** `image.lock.json`. */
export const lockSchema = z.strictObject({
  schema: z.literal(1),
  image: ownText,
  base: ownText,
  version: ownText,
  /** SOURCE_DATE_EPOCH of the image, in seconds: the date of the newest archive index. */
  epoch: z.int().positive().max(MOST_EPOCH),
  /** Digest of the request (`requestDigest`); when it differs, the definition changed after locking. */
  request: sha256,
  packages: z.array(lockedPackage).min(1),
  /** The packages of the tools tree that makes the disk. */
  tools: z.array(lockedPackage).min(1),
  /** Upstream tarballs. */
  artifacts: z.array(lockedArtifact).default([]),
  containers: z.array(lockedContainer).default([]),
})

/** A deb: `sha256` of its bytes, `size` in bytes, `path` below the URL of `archive`. */
export type LockedPackage = z.output<typeof lockedPackage>

/** An upstream file: `sha256` of its bytes, `size` in bytes, its URLs. */
export type LockedArtifact = z.output<typeof lockedArtifact>

/** A container image of a registry; every file of it by its digest. */
export type LockedContainer = z.output<typeof lockedContainer>

/** All files that a build uses. Written by `seeder lock`, read by `seeder build`. */
export type Lock = z.output<typeof lockSchema>

/**
 * Digest of the request that a lock resolves: suites, packages, artifacts, container images and tools. Services, excluded paths and files are
 * left out, so a change to them needs no new lock.
 */
export function requestDigest(image: Image): string {
  const archive = ({ distribution, components, pockets }: Image['base']) => ({
    distribution,
    components,
    pockets,
  })
  const requested = {
    ...archive(image.base),
    packages: requestedPackages(image),
    tools: { ...archive(image.tools.base), packages: [...image.tools.packages].sort() },
    version: image.version,
    requires: image.requires,
    artifacts: image.artifacts.map(({ files: _files, ...artifact }) => artifact),
    // Which role has an image is up to the build.
    containers: image.containers && { ...image.containers, roles: undefined },
    repositories: image.repositories.map(({ key, ...rest }) => ({ ...rest, key: key.fingerprint })),
  }
  return hash('sha256', JSON.stringify(requested))
}

/** The lock's canonical text, which is written and hashed (`lock.sha256` of the manifest). */
export function formatLock(lock: Lock): string {
  const oneLine = (items: readonly unknown[]) =>
    items.map((item) => `    ${JSON.stringify(item)}`).join(',\n')
  const { packages, tools, artifacts, containers, ...head } = lock
  const lists = {
    packages,
    tools,
    ...(artifacts.length > 0 ? { artifacts } : {}),
    ...(containers.length > 0 ? { containers } : {}),
  }
  const fields = Object.entries(head).map(
    ([key, value]) => `  ${JSON.stringify(key)}: ${JSON.stringify(value)},`,
  )
  const blocks = Object.entries(lists).map(
    ([key, items]) => `  ${JSON.stringify(key)}: [\n${oneLine(items)}\n  ]`,
  )
  return `{\n${fields.join('\n')}\n${blocks.join(',\n')}\n}\n`
}

/** SHA-256, in hex, of a lock's canonical text. */
export function lockDigest(lock: Lock): string {
  return hash('sha256', formatLock(lock))
}

/** The digest of the lock in `text`; undefined when it is no valid lock. */
export function digestOfLockText(text: string): string | undefined {
  const lock = lockSchema.safeParse(anyJson(text)).data
  return lock && lockDigest(lock)
}

/**
 * Reads the lock of an image and checks that it matches the current definition.
 * @throws SeederError when it is missing, malformed or stale; the fix is the command that writes it
 */
export async function readLock(image: Image): Promise<Lock> {
  const relock = `run: ${['scripts/seeder lock', image.name, ...image.lockOptions].join(' ')}`
  let text: string
  try {
    text = await readText(image.lockFile)
  } catch (cause) {
    if (cause instanceof SeederError) throw new SeederError(cause.message, { fix: relock, cause })
    throw new SeederError(
      `${image.name} has no lock on ${image.base.name}${image.line === undefined ? '' : ` for ${image.line}`}: ${image.lockFile} cannot be read`,
      { fix: relock, cause },
    )
  }
  let lock: Lock
  try {
    lock = parseJson(text, lockSchema)
  } catch (cause) {
    throw new SeederError(
      `${image.lockFile} is not a lock that this version of seeder understands: ${whyNot(cause)}`,
      { fix: relock, cause },
    )
  }
  if (lock.image !== image.name || lock.base !== image.base.name) {
    throw new SeederError(
      `${image.lockFile} locks ${lock.image} on ${lock.base}, not ${image.name} on ${image.base.name}`,
      { fix: relock },
    )
  }
  if (lock.request !== requestDigest(image)) {
    throw new SeederError(
      `The lock of ${image.name} is stale: packages, artifacts, container images, tools or suites in the definition changed after it was written`,
      { fix: relock },
    )
  }
  return lock
}
