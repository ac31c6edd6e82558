import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Command } from 'commander'
import { openBundle } from '../build/bundle/open.ts'
import type { Manifest } from '../build/manifest.ts'
import { buildImage } from '../build/pipeline.ts'
import { builderOf } from '../evidence/provenance.ts'
import { makeRunFolder } from '../files/run-folder.ts'
import { loadImage, type Variant } from '../image/definition.ts'
import type { SourceCommit } from '../image/git.ts'
import { loadPlatform } from '../platform/load.ts'
import { SeederError, UsageError } from '../report/error.ts'
import { print } from '../report/print.ts'
import { formatBytes, formatDuration } from '../report/table.ts'
import type { Context } from './context.ts'
import { examples } from './options.ts'

/** The input of `build`. */
export interface BuildRequest extends Variant {
  readonly image: string
  /** A new or empty folder, or one with an earlier build. */
  readonly out: string
  /** False: every layer is built again. */
  readonly cache: boolean
  /** The commit of the definitions; by default from git in the project. */
  readonly source?: SourceCommit | undefined
}

/** Builds an image from its lock into a folder; throws as `buildImage` and `loadImage` do. */
export async function buildCommand(
  request: BuildRequest,
  context: Context,
  env: NodeJS.ProcessEnv = process.env,
): Promise<Manifest> {
  const project = context.project()
  const image = await loadImage(project, request.image, request)
  const platform = await loadPlatform(join(project, 'platform.yaml'))
  return buildImage(image, platform, {
    project,
    checkout: context.checkout,
    cache: context.cache,
    out: request.out,
    source: request.source,
    reuseLayers: request.cache,
    progress: context.progress(),
    builder: builderOf(env),
    tool: { name: 'seeder', version: context.version },
  })
}

/**
 * Builds the image of a bundle, only from the bundle. Throws as `buildImage` and `openBundle` do.
 * @throws SeederError when the disk differs from the bundle's; the files are kept
 */
export async function buildFromBundle(
  file: string,
  request: Pick<BuildRequest, 'out' | 'cache'>,
  context: Context,
  env: NodeJS.ProcessEnv = process.env,
): Promise<Manifest> {
  const scratch = await makeRunFolder(join(context.cache, 'work'))
  try {
    const { index, project } = await openBundle(file, context.cache, scratch)
    const manifest = await buildCommand(
      { ...request, image: index.image, base: index.base, line: index.line, source: index.source },
      { ...context, project: () => project },
      env,
    )
    if (manifest.raw.sha256 === index.raw.sha256) return manifest
    throw new SeederError(
      `built ${file}: the disk is ${manifest.raw.sha256}, not ${index.raw.sha256} as in the bundle`,
      { fix: 'build it with the Seeder in the bundle: see docs/evidence.md' },
    )
  } finally {
    await rm(scratch, { recursive: true, force: true })
  }
}

/** Adds `build IMAGE --out DIR`. */
export function registerBuildCommand(program: Command, context: () => Context): void {
  program
    .command('build')
    .description('Build an image from its lock.')
    .argument('[image]', 'name of the image, a folder below images/; not with --from-bundle')
    .requiredOption(
      '--out <dir>',
      'write the finished files to this folder: a new or empty one, or one with an earlier build',
    )
    .option('--base <name>', 'build on this base, not on the image’s own')
    .option('--line <minor>', 'build this line, not the newest, for example 3.6')
    .option('--from-bundle <file>', 'build the image of this bundle, from nothing else')
    .option('--no-cache', 'build every layer again; keep downloaded packages')
    .option('--json', 'print the manifest as JSON')
    .addHelpText(
      'after',
      examples(
        'seeder build haproxy --out out/haproxy',
        'seeder build --from-bundle haproxy.bundle.tar --out again',
      ),
    )
    .action(async (image: string | undefined, options: BuildFlags) => {
      const started = Date.now()
      const manifest = await build(image, options, context())
      if (options.json) {
        print(manifest)
        return
      }
      print(
        [
          join(options.out, manifest.qcow2.file),
          `  size         ${formatBytes(manifest.qcow2.size)} (disk ${formatBytes(manifest.raw.size)})`,
          `  raw sha256   ${manifest.raw.sha256}`,
          `  qcow2 sha256 ${manifest.qcow2.sha256}`,
          `  usr roothash ${manifest.usr.roothash}`,
          `  built in     ${formatDuration(Date.now() - started)}`,
        ].join('\n'),
      )
    })
}

interface BuildFlags extends Variant {
  readonly out: string
  readonly cache: boolean
  readonly json?: boolean
  readonly fromBundle?: string
}

function build(image: string | undefined, options: BuildFlags, context: Context): Promise<Manifest> {
  const { fromBundle, base, line } = options
  if (fromBundle === undefined) {
    if (image !== undefined) return buildCommand({ ...options, image }, context)
    throw new UsageError('no image is named', { fix: 'name an image, or a bundle with --from-bundle' })
  }
  if (image === undefined && base === undefined && line === undefined) {
    return buildFromBundle(fromBundle, options, context)
  }
  throw new UsageError('the bundle determines the image, its base and its line', {
    fix: 'leave out image, --base and --line with --from-bundle',
  })
}
