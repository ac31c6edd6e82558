import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Command } from 'commander'
import { z } from 'zod'
import { manifestSchema } from '../build/manifest.ts'
import { readOutput } from '../build/output.ts'
import { type Image, loadImage, requestedPackages, type Variant } from '../image/definition.ts'
import { lockDigest, lockSchema, readLock } from '../image/lock.ts'
import { baseSchema, imageSchema } from '../image/schema.ts'
import { describeError, SeederError, UsageError } from '../report/error.ts'
import { print } from '../report/print.ts'
import { formatBytes, formatTable } from '../report/table.ts'
import type { Context } from './context.ts'
import { examples } from './options.ts'

/** The output of `inspect DIR --json`. */
export const inspectedBuildSchema = z.object({
  manifest: manifestSchema,
  intact: z.boolean(),
  /** Files that differ from SHA256SUMS. */
  damaged: z.array(z.string()),
})

const resolvedBaseSchema = baseSchema.omit({ tools: true }).extend({ name: z.string() })

/** The output of `inspect IMAGE --json`: the definition for a base and line, with its lock. */
export const inspectedImageSchema = z.object({
  definition: imageSchema.omit({ lines: true }).extend({
    name: z.string(),
    base: resolvedBaseSchema,
    tools: z.object({ base: resolvedBaseSchema, packages: z.array(z.string()) }),
    line: z.string().optional(),
    artifacts: z.array(
      z.object({
        name: z.string(),
        version: z.string(),
        urls: z.array(z.string()),
        checksums: z.string().optional(),
        sha256: z.string().optional(),
        /** Path in the tarball → path in the image; or a whole file’s path in the image. */
        files: z.union([z.record(z.string(), z.string()), z.string()]),
      }),
    ),
    repositories: z.array(
      z.object({
        name: z.string(),
        url: z.string(),
        suite: z.string(),
        components: z.array(z.string()),
        packages: z.array(z.string()),
        key: z.object({ fingerprint: z.string(), url: z.string().optional(), file: z.string() }),
      }),
    ),
    /** Path of its lock, and the options of `lock` that write it. */
    lockFile: z.string(),
    lockOptions: z.array(z.string()),
  }),
  lock: z.union([
    z.object({ sha256: z.string(), ...lockSchema.shape }),
    /** Why the lock cannot be used. */
    z.object({ problem: z.string() }),
  ]),
})

/** Adds `inspect IMAGE|DIR`. */
export function registerInspectCommand(program: Command, context: () => Context): void {
  program
    .command('inspect')
    .description('Show a definition and its lock, or a finished build and whether its files are intact.')
    .argument('<image|dir>', 'name of an image, or folder of a build')
    .option('--base <name>', 'with an image: show it on this base, not on its own')
    .option('--line <minor>', 'with an image: show this line, not the newest')
    .option('--json', 'print JSON')
    .addHelpText('after', examples('seeder inspect haproxy', 'seeder inspect out/haproxy --json'))
    .action(async (subject: string, options: Variant & { json?: boolean }) => {
      const isFolder = existsSync(join(subject, 'SHA256SUMS'))
      if (!isFolder && /[/.]/.test(subject)) {
        throw new UsageError(
          `${subject} is neither an image’s name nor a folder with a build (it has no SHA256SUMS)`,
          { fix: 'give the name of an image, or the folder of `build --out`' },
        )
      }
      await (isFolder
        ? inspectBuild(subject, options.json ?? false)
        : inspectImage(await loadImage(context().project(), subject, options), options.json ?? false))
    })
}

async function inspectImage(image: Image, json: boolean): Promise<void> {
  const lock = await readLock(image).then(
    (found) => ({ ok: true as const, found }),
    (error: unknown) => ({ ok: false as const, problem: describeError(error) }),
  )
  if (json) {
    const { folder: _folder, trees: _trees, ...definition } = image
    const locked = lock.ok ? { sha256: lockDigest(lock.found), ...lock.found } : { problem: lock.problem }
    print({ definition, lock: locked })
    return
  }
  print(`${image.name}: ${image.description}`)
  print(`  base      ${image.base.name} (${image.base.pockets.map((pocket) => pocket.suite).join(', ')})`)
  if (!lock.ok) {
    print(`  lock      ${lock.problem}`)
    return
  }
  const { packages, artifacts, containers, version, epoch } = lock.found
  print(`  version   ${version}`)
  print(`  lock      ${lockDigest(lock.found)}, ${new Date(epoch * 1000).toISOString()}`)
  print(`  packages  ${packages.length}, of which these are requested:\n`)
  const requested = new Set(requestedPackages(image))
  const rows = packages
    .filter(({ name }) => requested.has(name))
    .map(({ name, version, archive }) => [name, version, archive])
    .concat(artifacts.map(({ name, version }) => [name, version, 'artifact']))
    .concat(containers.map(({ name, version }) => [name, version, 'container image']))
  print(formatTable(['package', 'version', 'archive'], rows))
}

async function inspectBuild(folder: string, json: boolean): Promise<void> {
  const { manifest, damaged } = await readOutput(folder)
  if (json) {
    const build: z.output<typeof inspectedBuildSchema> = { manifest, intact: damaged.length === 0, damaged }
    print(build)
  } else {
    print(`${manifest.image} ${manifest.version} (${manifest.base}, for ${manifest.roles.join(' or ')})`)
    print(`  qcow2         ${manifest.qcow2.file}, ${formatBytes(manifest.qcow2.size)}`)
    print(`  raw sha256    ${manifest.raw.sha256}, ${formatBytes(manifest.raw.size)}`)
    print(`  usr roothash  ${manifest.usr.roothash}`)
    print(`  kernel        ${manifest.kernel.version}`)
    print(`  lock          ${manifest.lock.sha256}`)
    print(
      `  source        ${manifest.source.commit ?? 'no git checkout'}${manifest.source.dirty ? ', with uncommitted changes' : ''}`,
    )
    print(`  packages      ${Object.keys(manifest.packages).length}`)
    print(`  files         ${damaged.length === 0 ? 'intact' : `damaged: ${damaged.join(', ')}`}`)
  }
  if (damaged.length > 0) {
    throw new SeederError(
      `${folder}: ${damaged.join(', ')} differ${damaged.length === 1 ? 's' : ''} from SHA256SUMS`,
      { fix: 'build or download it again' },
    )
  }
}
