import type { Command } from 'commander'
import { builderOf } from '../evidence/provenance.ts'
import { interruption } from '../process/interruption.ts'
import { requireTag } from '../release/format/tag.ts'
import { type ConfirmResult, confirm, readSecondBuild, type SecondBuild } from '../release/promote/confirm.ts'
import { UsageError } from '../report/error.ts'
import { print } from '../report/print.ts'
import type { Context } from './context.ts'
import { connectRepository } from './context.ts'
import { examples, readSigningKey } from './options.ts'

export interface ConfirmOptions {
  /** `IMAGE-VERSION`. */
  readonly tag: string
  /** The folder of the second build, or its digests. */
  readonly build: string | SecondBuild
  /** A file with the private key; by default the key is the text in SEEDER_SIGNING_KEY. */
  readonly key?: string | undefined
  readonly repository?: string | undefined
}

/** Adds `confirm TAG DIR`. */
export function registerConfirmCommand(program: Command, context: () => Context): void {
  program
    .command('confirm')
    .description('Confirm a release: sign that a second build elsewhere made the same disk.')
    .argument('<tag>', 'tag of the release, IMAGE-VERSION')
    .argument('<dir>', 'folder of the second build')
    .option('--key <file>', 'sign with this private key (default: the key in SEEDER_SIGNING_KEY)')
    .option('--repository <owner/name>', 'write to this repository (default: $GITHUB_REPOSITORY)')
    .option('--json', 'print the result as JSON')
    .addHelpText(
      'after',
      examples('SEEDER_SIGNING_KEY="$(cat key)" seeder confirm haproxy-3.0.12-1 out/haproxy'),
    )
    .action(
      async (
        tag: string,
        folder: string,
        options: Omit<ConfirmOptions, 'tag' | 'build'> & { json?: boolean },
      ) => {
        const result = await confirmCommand({ ...options, tag, build: folder }, context())
        print(options.json ? result : describe(result))
      },
    )
}

/** Confirms a release. Throws UsageError when an option is wrong, otherwise as `confirm`. */
export async function confirmCommand(
  { tag, build: second, key: file, repository }: ConfirmOptions,
  context: Context,
  env: NodeJS.ProcessEnv = process.env,
): Promise<ConfirmResult> {
  requireTag(tag)
  const key = await readSigningKey(file, env)
  if (key === undefined) {
    throw new UsageError('there is no key to sign with', {
      fix: 'put the second builder’s private key into SEEDER_SIGNING_KEY (a secret), or name its file with --key',
    })
  }
  const progress = context.progress()
  const { releases } = connectRepository(env, repository, progress)
  const build = typeof second === 'string' ? await readSecondBuild(second, tag) : second
  const request = { tag, build, key, builder: builderOf(env).id }
  const result = await confirm(releases, request, { progress, signal: interruption })
  progress.done()
  return result
}

function describe({ tag, url, builder, rawSha256, changed }: ConfirmResult): string {
  return [
    `${tag} ${changed ? 'confirmed' : 'is confirmed already'}`,
    `  page       ${url}`,
    `  builder    ${builder}`,
    `  raw sha256 ${rawSha256}`,
  ].join('\n')
}
