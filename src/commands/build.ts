import { join } from 'node:path'
import type { Command } from 'commander'
import type { Manifest } from '../build/manifest.ts'
import { buildImage } from '../build/pipeline.ts'
import { loadImage, type Variant } from '../image/definition.ts'
import { loadPlatform } from '../platform/load.ts'
import { formatBytes, formatDuration } from '../report/table.ts'
import type { Context } from './context.ts'

/** What is to be built, and where its files go. */
export interface BuildRequest extends Variant {
  readonly image: string
  /** A new or empty folder, or one with an earlier build. */
  readonly out: string
  /** False: every layer is built anew. */
  readonly cache: boolean
}

/** Builds an image from its lock into a folder; throws as `buildImage` and `loadImage` do. */
export async function buildCommand(request: BuildRequest, context: Context): Promise<Manifest> {
  const project = context.project()
  const image = await loadImage(project, request.image, request)
  const platform = await loadPlatform(join(project, 'platform.yaml'))
  return buildImage(image, platform, {
    project,
    cache: context.cache,
    out: request.out,
    reuseLayers: request.cache,
    progress: context.progress(),
  })
}

/** Adds `build IMAGE --out DIR`. */
export function registerBuildCommand(program: Command, context: () => Context): void {
  program
    .command('build')
    .description('build an image from its lock')
    .argument('<image>', 'the image’s name, a folder below images/')
    .requiredOption(
      '--out <dir>',
      'where the finished files go: a new or empty folder, or one with an earlier build',
    )
    .option('--base <name>', 'build it on another base than its own')
    .option('--line <minor>', 'build another line than the newest, as in 3.6')
    .option('--no-cache', 'build every layer anew; downloaded packages are kept')
    .option('--json', 'print the manifest as JSON')
    .action(async (image: string, options: Variant & { out: string; cache: boolean; json?: boolean }) => {
      const started = Date.now()
      const manifest = await buildCommand({ ...options, image }, context())
      if (options.json) {
        console.log(JSON.stringify(manifest, null, 2))
        return
      }
      console.log(
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
