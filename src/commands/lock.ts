import { rename, writeFile } from 'node:fs/promises'
import type { Command } from 'commander'
import { z } from 'zod'
import { loadImage, type Variant } from '../image/definition.ts'
import { formatLock, type Lock, lockDigest, readLock } from '../image/lock.ts'
import { mirrorsOf } from '../image/mirrors.ts'
import { resolveLock, withScratch } from '../image/resolve.ts'
import { interruption } from '../process/interruption.ts'
import { print } from '../report/print.ts'
import { formatBytes } from '../report/table.ts'
import type { Context } from './context.ts'
import { examples } from './examples.ts'

/** A lock that was written. */
export interface LockResult {
  readonly file: string
  readonly lock: Lock
  /** What differs from the lock that was there, a line each. */
  readonly changes: readonly string[]
}

/** What `lock --json` prints. */
export const lockResultSchema = z.object({
  file: z.string(),
  version: z.string(),
  sha256: z.string(),
  /** What differs from the lock that was there, a line each. */
  changes: z.array(z.string()).readonly(),
})

/** Reads what is newest in the archives and writes the lock of an image. Throws as `loadImage` and `resolveLock` do. */
export async function lockCommand(
  request: Variant & { readonly image: string },
  context: Context,
): Promise<LockResult> {
  const image = await loadImage(context.project(), request.image, request)
  const progress = context.progress()
  progress.phase('lock')
  const mirrors = await mirrorsOf(image)
  const before = await readLock(image).catch(() => undefined)
  const lock = await withScratch(context.cache, (scratch) => resolveLock(image, mirrors, scratch))
  interruption.throwIfAborted()
  const partial = `${image.lockFile}.${process.pid}.tmp`
  await writeFile(partial, formatLock(lock))
  await rename(partial, image.lockFile)
  progress.done()
  return { file: image.lockFile, lock, changes: describeChanges(before, lock) }
}

/** Adds `lock IMAGE`: reads what is newest in the archives and writes the image's lock. */
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
      const size = lock.packages.reduce((sum, one) => sum + one.size, 0)
      for (const one of lock.artifacts) print(`  ${one.name} ${one.version}: sha256 ${one.sha256}`)
      for (const change of changes) print(`  ${change}`)
      print(
        `${lock.image} ${lock.version} on ${lock.base}: ${lock.packages.length} packages (${formatBytes(size)}), ${lock.tools.length} of tools`,
      )
      print(file)
    })
}

/** What differs in the image's packages between two locks, one line each; empty for a first lock. */
export function describeChanges(before: Lock | undefined, after: Lock): string[] {
  if (!before) return []
  const versions = ({ packages, artifacts }: Lock) =>
    new Map([...packages, ...artifacts].map((one) => [one.name, one.version]))
  const [old, now] = [versions(before), versions(after)]
  return [...new Set([...old.keys(), ...now.keys()])].sort().flatMap((name) => {
    const [was, is] = [old.get(name), now.get(name)]
    if (was === is) return []
    if (was === undefined) return [`+ ${name} ${is}`]
    return is === undefined ? [`- ${name} ${was}`] : [`~ ${name} ${was} → ${is}`]
  })
}
