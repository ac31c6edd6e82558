import { join } from 'node:path'
import type { Command } from 'commander'
import { loadPlatform } from '../platform/load.ts'
import { interruption } from '../process/interruption.ts'
import { requireTag } from '../release/format/tag.ts'
import { demote, type PromoteResult, type PromotionPolicy, promote } from '../release/promote/promote.ts'
import { findAllowedSigners, requireAllowedSigners } from '../release/signature/signers.ts'
import { print } from '../report/print.ts'
import type { Context } from './context.ts'
import { connectRepository } from './context.ts'
import { examples } from './options.ts'

export interface PromoteOptions {
  /** `IMAGE-VERSION`. */
  readonly tag: string
  /** Demote it instead. */
  readonly demote?: boolean | undefined
  /** The file of allowed signers; by default the project's `allowed_signers`. */
  readonly allowedSigners?: string | undefined
  readonly allowUnsigned?: boolean | undefined
  /** `owner/name`; by default the runner's own. */
  readonly repository?: string | undefined
}

/** Adds `promote TAG`. */
export function registerPromoteCommand(program: Command, context: () => Context): void {
  program
    .command('promote')
    .description('Promote a candidate: verify it again, and make it the promoted version of its image.')
    .argument('<tag>', 'tag of the release, IMAGE-VERSION')
    .option('--demote', 'take a promoted version back; the one before it is promoted again')
    .option(
      '--allowed-signers <file>',
      'accept the signers in this file (default: allowed_signers of the project)',
    )
    .option('--allow-unsigned', 'accept a release without a signature, or without a file of signers')
    .option('--repository <owner/name>', 'write to this repository (default: $GITHUB_REPOSITORY)')
    .option('--json', 'print the result as JSON')
    .addHelpText(
      'after',
      examples('seeder promote haproxy-3.0.12-1', 'seeder promote haproxy-3.0.12-1 --demote'),
    )
    .action(async (tag: string, options: Omit<PromoteOptions, 'tag'> & { json?: boolean }) => {
      const result = await promoteCommand({ ...options, tag }, context())
      print(options.json ? result : describe(result, options.demote ?? false))
    })
}

/** Promotes or demotes a release. Throws UsageError when an option is wrong, otherwise as `promote` and `demote`. */
export async function promoteCommand(
  options: PromoteOptions,
  context: Context,
  env: NodeJS.ProcessEnv = process.env,
): Promise<PromoteResult> {
  requireTag(options.tag)
  const progress = context.progress()
  const { releases } = connectRepository(env, options.repository, progress)
  const run = { progress, signal: interruption }
  // A demotion needs no signature.
  const policy = options.demote ? undefined : await policyOf(options, context)
  const result = policy
    ? await promote(releases, options.tag, policy, run)
    : await demote(releases, options.tag, run)
  progress.done()
  return result
}

async function policyOf(
  { allowedSigners, allowUnsigned = false }: PromoteOptions,
  { project }: Context,
): Promise<PromotionPolicy> {
  const find = allowUnsigned ? findAllowedSigners : requireAllowedSigners
  const { releases } = await loadPlatform(join(project(), 'platform.yaml'))
  return { allowedSigners: find(allowedSigners, project), allowUnsigned, builders: releases.builders }
}

function describe({ tag, url, changed, promoted, signer }: PromoteResult, demoted: boolean): string {
  const done = demoted ? 'demoted' : 'promoted'
  return [
    `${tag} ${changed ? done : `is ${done} already`}`,
    `  page     ${url}`,
    ...(signer === null ? [] : [`  signer   ${signer}`]),
    `  promoted ${promoted ?? 'no version of this image'}`,
  ].join('\n')
}
