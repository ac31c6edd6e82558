import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Command } from 'commander'
import { SIGNATURE_FILE } from '../build/sums.ts'
import { interruption } from '../process/interruption.ts'
import { type PublishResult, publish, type Signing } from '../release/publish/publish.ts'
import { findAllowedSigners, requireAllowedSigners } from '../release/signature/signers.ts'
import { UsageError } from '../report/error.ts'
import { print } from '../report/print.ts'
import { formatBytes } from '../report/table.ts'
import type { Context } from './context.ts'
import { connectRepository } from './context.ts'
import { examples, readSigningKey } from './options.ts'

export interface PublishOptions {
  /** The folder of a build with its test report. */
  readonly folder: string
  /** 40 hex digits. */
  readonly commit?: string | undefined
  /** A file with the private key; by default the key is the text in SEEDER_SIGNING_KEY. */
  readonly key?: string | undefined
  readonly unsigned?: boolean | undefined
  /** Whether the release gets its bundle; true by default. */
  readonly bundle?: boolean | undefined
  /** `owner/name`; by default the runner's own. */
  readonly repository?: string | undefined
}

/** Adds `publish DIR`. */
export function registerPublishCommand(program: Command, context: () => Context): void {
  program
    .command('publish')
    .description('Publish a tested build as a release on GitHub, the candidate of its image.')
    .argument('<dir>', 'folder of a build, with the report of its test')
    .option('--commit <sha>', 'tag this commit, for a build made outside a git checkout')
    .option('--key <file>', 'sign with this private key (default: the key in SEEDER_SIGNING_KEY)')
    .option('--unsigned', 'publish without a signature')
    .option('--no-bundle', 'leave out the bundle: the file to build the image again without any archive')
    .option('--repository <owner/name>', 'write to this repository (default: $GITHUB_REPOSITORY)')
    .option('--json', 'print the result as JSON')
    .addHelpText('after', examples('seeder publish out/haproxy --key release_key'))
    .action(async (folder: string, options: Omit<PublishOptions, 'folder'> & { json?: boolean }) => {
      const result = await publishCommand({ ...options, folder }, context())
      print(options.json ? result : describe(result))
    })
}

/** Publishes a build. Throws UsageError when an option is wrong, otherwise as `publish`. */
export async function publishCommand(
  options: PublishOptions,
  context: Context,
  env: NodeJS.ProcessEnv = process.env,
): Promise<PublishResult> {
  const { folder, commit, repository, bundle = true } = options
  if (commit !== undefined && !/^[0-9a-f]{40}$/.test(commit)) {
    throw new UsageError(`--commit ${commit} is not a commit’s whole name`, {
      fix: 'give all 40 hex digits: git rev-parse HEAD',
    })
  }
  const progress = context.progress()
  const { releases } = connectRepository(env, repository, progress)
  const signing = await signingOf(options, context, env)
  const bundleFrom = bundle ? context.cache : undefined
  const result = await publish(
    releases,
    { folder, signing, commit, bundleFrom },
    { progress, signal: interruption },
  )
  progress.done()
  return result
}

async function signingOf(
  { folder, key, unsigned }: PublishOptions,
  { project }: Context,
  env: NodeJS.ProcessEnv,
): Promise<Signing> {
  if (unsigned && key !== undefined) {
    throw new UsageError('--unsigned and --key contradict each other', { fix: 'give one of them' })
  }
  if (unsigned) return { kind: 'unsigned' }
  const text = await readSigningKey(key, env)
  if (text !== undefined) {
    return { kind: 'key', key: text, allowedSigners: findAllowedSigners(undefined, project) }
  }
  if (existsSync(join(folder, SIGNATURE_FILE))) {
    return { kind: 'signed', allowedSigners: requireAllowedSigners(undefined, project) }
  }
  throw new UsageError(`${folder} is not signed, and there is no key to sign it with`, {
    fix: 'put the private key into SEEDER_SIGNING_KEY (a secret), name its file with --key, or publish with --unsigned',
  })
}

function describe({
  tag,
  url,
  published,
  candidate,
  rawSha256,
  assets,
  uploadedBytes,
  bundleBytes,
}: PublishResult): string {
  const state = candidate ? ', the candidate' : ''
  return [
    `${tag}${published ? ' published' : ' is published already'}${state}`,
    `  page       ${url}`,
    `  raw sha256 ${rawSha256}`,
    `  assets     ${assets.length}, ${formatBytes(assets.reduce((sum, { size }) => sum + size, 0))}`,
    `  uploaded   ${formatBytes(uploadedBytes)}`,
    ...(bundleBytes === null ? [] : [`  bundle     ${formatBytes(bundleBytes)}`]),
  ].join('\n')
}
