import { existsSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { type Command, Option } from 'commander'
import { type BundleIndex, type BundleList, bundleListName, bundleName } from '../build/bundle/format.ts'
import { writeBundle } from '../build/bundle/write.ts'
import { readIntactOutput } from '../build/output.ts'
import { readSmall, unlessRead } from '../files/text-file.ts'
import { interruption } from '../process/interruption.ts'
import { chooseRelease } from '../release/channel/choice.ts'
import { fetchBundle } from '../release/download/fetch-bundle.ts'
import { readBundleList } from '../release/format/bundle-list.ts'
import { parseTag, type Tag } from '../release/format/tag.ts'
import { requireAllowedSigners } from '../release/signature/signers.ts'
import { SeederError, UsageError } from '../report/error.ts'
import { print } from '../report/print.ts'
import { formatBytes } from '../report/table.ts'
import type { Context } from './context.ts'
import { connectRepository } from './context.ts'
import { examples } from './options.ts'

/** The options of `bundle`. */
export interface BundleOptions {
  /** The folder of a build, or the tag of a release. */
  readonly of: string
  readonly out?: string | undefined
  readonly repository?: string | undefined
  readonly allowedSigners?: string | undefined
  readonly allowUnsigned?: boolean | undefined
}

/** Adds `bundle DIR|TAG`. */
export function registerBundleCommand(program: Command, context: () => Context): void {
  program
    .command('bundle')
    .description(
      'Write the bundle of an image: one file with everything to build it again, without any archive.',
    )
    .argument('<dir|tag>', 'folder of a build, or tag of a release')
    .option('--out <file>', 'write to this file (default: IMAGE-VERSION.bundle.tar in the current folder)')
    .addOption(
      new Option(
        '--allowed-signers <file>',
        'with a tag: accept the signers in this file (default: allowed_signers of the project)',
      ).conflicts('allowUnsigned'),
    )
    .option('--allow-unsigned', 'with a tag: verify no signature')
    .option(
      '--repository <owner/name>',
      'with a tag: read from this repository (default: $GITHUB_REPOSITORY)',
    )
    .option('--json', 'print the index of the bundle as JSON')
    .addHelpText(
      'after',
      examples('seeder bundle out/haproxy', 'seeder bundle haproxy-3.0.12-1 --out haproxy.bundle.tar'),
    )
    .action(async (of: string, { json, ...options }: Omit<BundleOptions, 'of'> & { json?: boolean }) => {
      const { index, file } = await bundleCommand({ ...options, of }, context())
      const { size } = await stat(file)
      print(
        json
          ? index
          : `${file}\n  ${index.files.length} files, ${formatBytes(size)}\n  build it again: seeder build --from-bundle ${file} --out DIR`,
      )
    })
}

/**
 * Writes the bundle of a build or a release.
 * @throws SeederError when a file of it cannot be found or downloaded
 */
export async function bundleCommand(
  options: BundleOptions,
  context: Context,
  env: NodeJS.ProcessEnv = process.env,
): Promise<{ index: BundleIndex; file: string }> {
  const { of } = options
  const tag = existsSync(of) ? undefined : parseTag(of)
  if (tag) {
    const out = await targetFile(options.out, tag)
    const { index } = await downloadBundle(tag, { ...options, out }, context, env)
    return { index, file: out }
  }
  const manifest = await readIntactOutput(of)
  const file = await targetFile(options.out, manifest)
  const text = await readSmall(join(of, bundleListName(manifest))).catch(
    unlessRead(
      (cause) =>
        new SeederError(`${of} has no bundle list: an older Seeder made it`, {
          fix: 'build it again',
          cause,
        }),
    ),
  )
  const list = readBundleList(text, manifest)
  await writeBundle(list, context.cache, file)
  return { index: list.index, file }
}

async function targetFile(out: string | undefined, version: Tag): Promise<string> {
  const file = resolve(out ?? bundleName(version))
  if (!existsSync(file) || (await stat(file)).isFile()) return file
  throw new UsageError(`--out ${file} is not a file`, {
    fix: 'name a file that does not exist, or an earlier bundle',
  })
}

async function downloadBundle(
  { image, version }: Tag,
  { out, repository: named, allowedSigners: file, allowUnsigned = false }: BundleOptions & { out: string },
  context: Context,
  env: NodeJS.ProcessEnv,
): Promise<BundleList> {
  const allowedSigners = allowUnsigned ? undefined : requireAllowedSigners(file, context.project)
  const progress = context.progress()
  const { releases, repository } = connectRepository(env, named, progress)
  const release = chooseRelease(await releases.list(), image, version, repository)
  const list = await fetchBundle(releases, release, out, {
    trust: { allowedSigners, allowUnsigned },
    cache: context.cache,
    progress,
    signal: interruption,
  })
  progress.done()
  return list
}
