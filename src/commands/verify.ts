import { existsSync } from 'node:fs'
import { type Command, Option } from 'commander'
import { interruption } from '../process/interruption.ts'
import { parseTag } from '../release/format/tag.ts'
import { requireAllowedSigners } from '../release/signature/signers.ts'
import type { Verification } from '../release/verify/finding.ts'
import { verifyFolder } from '../release/verify/verify-folder.ts'
import { verifyTag } from '../release/verify/verify-tag.ts'
import { SeederError, UsageError } from '../report/error.ts'
import { print } from '../report/print.ts'
import { formatTable } from '../report/table.ts'
import type { Context } from './context.ts'
import { connectRepository } from './context.ts'
import { examples } from './options.ts'

/** The options of `verify`. */
export interface VerifyOptions {
  /** The folder of a build or a download, or the tag of a release. */
  readonly folder: string
  readonly repository?: string | undefined
  readonly allowedSigners?: string | undefined
  readonly allowUnsigned?: boolean | undefined
  /** Whether to download and verify the bundle of a release as well. */
  readonly bundle?: boolean | undefined
}

/** Adds `verify DIR|TAG`. It exits with 0 only when nothing is wrong. */
export function registerVerifyCommand(program: Command, context: () => Context): void {
  program
    .command('verify')
    .description('Verify the files of an image: digests, whether they belong together, evidence, signature.')
    .argument('<dir|tag>', 'folder of a build or a download, or tag of a release')
    .addOption(
      new Option(
        '--allowed-signers <file>',
        'accept the signers in this file (default: allowed_signers of the project)',
      ).conflicts('allowUnsigned'),
    )
    .option('--allow-unsigned', 'verify no signature')
    .option('--bundle', 'with a tag: also download its bundle, and compare every file of it')
    .option(
      '--repository <owner/name>',
      'with a tag: read from this repository (default: $GITHUB_REPOSITORY)',
    )
    .option('--json', 'print JSON')
    .addHelpText('after', examples('seeder verify out/haproxy', 'seeder verify haproxy-3.0.12-1 --bundle'))
    .action(
      async (folder: string, { json, ...options }: Omit<VerifyOptions, 'folder'> & { json?: boolean }) => {
        const findings = await verifyCommand({ ...options, folder }, context())
        print(json ? findings.map(publicFinding) : describeFindings(findings))
        requireRight(folder, findings)
      },
    )
}

/**
 * The findings about a folder or a release.
 * @throws UsageError when there is no file of allowed signers
 */
export async function verifyCommand(
  options: VerifyOptions,
  context: Context,
  env: NodeJS.ProcessEnv = process.env,
): Promise<Verification[]> {
  const { folder, repository, allowedSigners, allowUnsigned, bundle = false } = options
  const signers = allowUnsigned ? undefined : requireAllowedSigners(allowedSigners, context.project)
  if (existsSync(folder) || parseTag(folder) === undefined) {
    if (!bundle) return verifyFolder(folder, signers)
    throw new UsageError('--bundle is for a release, not for a folder', {
      fix: 'name the tag of a release; for a folder, `seeder bundle DIR` reads every file',
    })
  }
  const github = connectRepository(env, repository, context.progress())
  const bundleInto = bundle ? context.cache : undefined
  return verifyTag(github, folder, { allowedSigners: signers, bundleInto }, interruption)
}

/** @throws SeederError when a finding is wrong */
export function requireRight(folder: string, findings: readonly Verification[]): void {
  const wrong = findings.filter(({ result }) => result === 'wrong')
  if (wrong.length === 0) return
  throw new SeederError(`do not use ${folder}: ${wrong.map(({ what }) => what).join(', ')} wrong`, {
    fix: 'build or download it again',
  })
}

/** A finding as it is printed in JSON. */
function publicFinding({ what, result, found }: Verification): Verification {
  return { what, result, found }
}

function describeFindings(findings: readonly Verification[]): string {
  return formatTable(
    ['what', 'result', 'found'],
    findings.map(({ what, result, found }) => [what, result, found]),
  )
}
