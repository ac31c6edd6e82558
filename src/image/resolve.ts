import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { SeederError } from '../report/error.ts'
import { newestIndexDate, readIndexes, resolvePackages } from './apt.ts'
import { type Image, requestedPackages } from './definition.ts'
import { type Lock, type LockedArtifact, type LockedPackage, requestDigest } from './lock.ts'
import { lockArtifact } from './lock-artifact.ts'
import type { Mirrors } from './mirrors.ts'
import { provideKey } from './repository.ts'

/**
 * What every system needs. apt counts itself as essential, but nothing is installed on a read-only /usr: an image has it only
 * if its definition lists it.
 */
const ESSENTIAL = '?and(?essential, ?not(?exact-name(apt)))'

/**
 * Resolves an image's packages, artifacts and tools to the newest files of the archives; container images are not its
 * work (`lockContainers`). Needs the network; nothing else in Seeder reads the index of an archive.
 * @param scratch an empty folder
 * @throws SeederError when an index cannot be read or verified, or a package or artifact does not exist or has another digest
 */
export async function resolveLock(image: Image, mirrors: Mirrors, scratch: string): Promise<Lock> {
  for (const repository of image.repositories) await provideKey(repository)
  const apt = await readIndexes(image.base, image.repositories, mirrors, join(scratch, 'image'))
  const packages = await resolvePackages(apt, [ESSENTIAL, ...requestedPackages(image)])
  checkOrigins(image, packages)
  checkRequirements(image, packages)
  // The indexes are read only once when the tools have the same base.
  const toolsApt =
    image.tools.base.name === image.base.name && image.repositories.length === 0
      ? apt
      : await readIndexes(image.tools.base, [], mirrors, join(scratch, 'tools'))
  const tools = await resolvePackages(toolsApt, ['?essential', ...image.tools.packages])
  const artifacts: LockedArtifact[] = []
  for (const artifact of image.artifacts) artifacts.push(await lockArtifact(artifact))
  return {
    schema: 1,
    image: image.name,
    base: image.base.name,
    version: imageVersion(image, packages),
    epoch: await newestIndexDate(apt),
    request: requestDigest(image),
    packages,
    tools,
    artifacts,
    containers: [],
  }
}

/**
 * `<upstream version>-<revision>` of the package or artifact that the image follows, without epoch, Debian revision and repack
 * marks, which belong to the packaging.
 */
export function imageVersion(image: Image, packages: readonly LockedPackage[]): string {
  const { version } = image
  if ('artifact' in version) {
    const artifact = image.artifacts.find(({ name }) => name === version.artifact)
    return `${artifact?.version ?? ''}-${version.revision}`
  }
  const component = packages.find(({ name }) => name === version.package)
  if (!component) {
    throw new SeederError(
      `The version of ${image.name} follows the package ${version.package}, which it does not install`,
      { fix: `add ${version.package} to its packages or change version.package in its image.yaml` },
    )
  }
  return `${upstreamVersion(component.version)}-${version.revision}`
}

/** A Debian package's version without epoch, Debian revision and repack marks. */
export function upstreamVersion(version: string): string {
  return version
    .replace(/^\d+:/, '')
    .replace(/-[^-]*$/, '')
    .replace(/[+~].*$/, '')
}

/** Checks that the repositories provide exactly their own packages, as apt is configured to do. */
function checkOrigins(image: Image, packages: readonly LockedPackage[]): void {
  for (const { name, packages: own } of image.repositories) {
    for (const { name: packageName, archive } of packages) {
      if ((archive === name) === own.includes(packageName)) continue
      throw new SeederError(
        archive === name
          ? `${packageName} would come from the repository ${name}, which may not provide it`
          : `${packageName} should come from the repository ${name}, but would come from ${archive}`,
        { fix: `correct repositories.${name}.packages in image.yaml, or its mirror` },
      )
    }
  }
}

function checkRequirements(image: Image, packages: readonly LockedPackage[]): void {
  for (const [name, oldest] of Object.entries(image.requires)) {
    const found = packages.find((other) => other.name === name)
    if (!found) {
      throw new SeederError(`${image.name} requires ${name} ${oldest} or newer, and does not install it`, {
        fix: 'add it to packages in image.yaml',
      })
    }
    if (isAtLeast(upstreamVersion(found.version), oldest)) continue
    throw new SeederError(
      `${image.name} requires ${name} ${oldest} or newer; ${image.base.name} has ${found.version}`,
      { fix: 'use a base that has it (--base), or another line of the image (--line)' },
    )
  }
}

/** Whether a dotted version is at least `oldest`; a missing part counts as 0. */
export function isAtLeast(version: string, oldest: string): boolean {
  const numbers = (text: string) => text.split('.').map((part) => Number.parseInt(part, 10) || 0)
  const [own, other] = [numbers(version), numbers(oldest)]
  for (let index = 0; index < Math.max(own.length, other.length); index++) {
    const difference = (own[index] ?? 0) - (other[index] ?? 0)
    if (difference !== 0) return difference > 0
  }
  return true
}

/** Runs `work` with a scratch folder below `parent`, which is removed afterwards in any case. */
export async function withScratch<T>(parent: string, work: (folder: string) => Promise<T>): Promise<T> {
  const folder = join(parent, `lock-${process.pid}`)
  await mkdir(folder, { recursive: true })
  try {
    return await work(folder)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
