import { rename, writeFile } from 'node:fs/promises'
import type { Command } from 'commander'
import { z } from 'zod'
import { listContainers } from '../build/containers/list.ts'
import { loadImage, type Variant } from '../image/definition.ts'
import { formatLock, type Lock, lockDigest, readLock } from '../image/lock.ts'
import { lockContainers, wantedContainers } from '../image/lock-container.ts'
import { mirrorsOf } from '../image/mirrors.ts'
import { resolveLock, withScratch } from '../image/resolve.ts'
import { interruption } from '../process/interruption.ts'
import { print } from '../report/print.ts'
import { formatBytes } from '../report/table.ts'
import type { Context } from './context.ts'
import { examples } from './options.ts'

/** The output of `lock --json`. */
export const lockResultSchema = z.object({
  file: z.string(),
  version: z.string(),
  sha256: z.string(),
  /** The differences from the previous lock; a line each. */
  changes: z.array(z.string()).readonly(),
})

/**
 * Resolves an image to the newest packages of the archives and writes its lock. Throws as `loadImage` and `resolveLock` do.
 * @returns `changes` are the differences from the previous lock; a line each
 */
export async function lockCommand(
  request: Variant & { readonly image: string },
  context: Context,
): Promise<{ file: string; lock: Lock; changes: string[] }> {
  const image = await loadImage(context.project(), request.image, request)
  const progress = context.progress()
  progress.phase('lock')
  const mirrors = await mirrorsOf(image)
  const before = await readLock(image).catch(() => undefined)
  const resolved = await withScratch(context.cache, (scratch) => resolveLock(image, mirrors, scratch))
  const listed = await listContainers(image, resolved, { cache: context.cache, mirrors, progress })
  const containers = image.containers ? await lockContainers(wantedContainers(image.containers, listed)) : []
  const lock = { ...resolved, containers }
  interruption.throwIfAborted()
  const partial = `${image.lockFile}.${process.pid}.tmp`
  await writeFile(partial, formatLock(lock))
  await rename(partial, image.lockFile)
  progress.done()
  return { file: image.lockFile, lock, changes: describeChanges(before, lock) }
}

/** Adds `lock IMAGE`. */
export function registerLockCommand(program: Command, context: () => Context): void {
  program
    .command('lock')
    .description('Resolve an image to exact package files and write its lock.')
    .argument('<image>', 'name of the image, a folder below images/')
    .option('--base <name>', 'lock it on this base, not on its own')
    .option('--line <minor>', 'lock this line, not the newest, for example 3.6')
    .option('--json', 'print the result as JSON')
    .addHelpText('after', examples('seeder lock haproxy'))
    .action(async (image: string, options: Variant & { json?: boolean }) => {
      const { file, lock, changes } = await lockCommand({ ...options, image }, context())
      if (options.json) {
        const result = { file, version: lock.version, sha256: lockDigest(lock), changes }
        print(result satisfies z.output<typeof lockResultSchema>, { indent: 0 })
        return
      }
      const size = lock.packages.reduce((sum, { size }) => sum + size, 0)
      for (const { name, version, sha256 } of lock.artifacts) print(`  ${name} ${version}: sha256 ${sha256}`)
      for (const { reference, sha256 } of lock.containers) print(`  ${reference}: manifest sha256 ${sha256}`)
      for (const change of changes) print(`  ${change}`)
      print(
        `${lock.image} ${lock.version} on ${lock.base}: ${lock.packages.length} packages (${formatBytes(size)}), ${lock.tools.length} of tools`,
      )
      print(file)
    })
}

/** The differences in packages, artifacts and container images between two locks, a line each; empty for a first lock. */
export function describeChanges(before: Lock | undefined, after: Lock): string[] {
  if (!before) return []
  const versions = ({ packages, artifacts, containers }: Lock) =>
    new Map([
      ...[...packages, ...artifacts].map(({ name, version }): [string, string] => [name, version]),
      // A tag can be moved to another image.
      ...containers.map(({ name, version, sha256 }): [string, string] => [
        name,
        `${version} (sha256 ${sha256.slice(0, 12)})`,
      ]),
    ])
  const [old, now] = [versions(before), versions(after)]
  return [...new Set([...old.keys(), ...now.keys()])].sort().flatMap((name) => {
    const [was, is] = [old.get(name), now.get(name)]
    if (was === is) return []
    if (was === undefined) return [`+ ${name} ${is}`]
    return is === undefined ? [`- ${name} ${was}`] : [`~ ${name} ${was} → ${is}`]
  })
}
