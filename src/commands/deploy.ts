import type { Command } from 'commander'
import { deployScript } from '../host/deploy-script.ts'
import { interruption } from '../process/interruption.ts'
import { type DeployResult, deployRelease } from '../release/deploy/deploy.ts'
import { findAllowedSigners } from '../release/signature/signers.ts'
import { print } from '../report/print.ts'
import type { Context } from './context.ts'
import { connectRepository } from './context.ts'
import { examples } from './options.ts'

/** The options of `deploy`. */
export interface DeployOptions {
  readonly image: string
  /** `promoted`, `candidate`, or a version. */
  readonly which?: string | undefined
  readonly storage?: string | undefined
  readonly dryRun?: boolean | undefined
  readonly deployScript?: string | undefined
  readonly keepDownload?: boolean | undefined
  readonly repository?: string | undefined
}

/** Adds `deploy IMAGE [VERSION|promoted|candidate]`. */
export function registerDeployCommand(program: Command, context: () => Context): void {
  program
    .command('deploy')
    .description('Download a release and make a template of it, on a Proxmox VE host.')
    .argument('<image>', 'name of the image')
    .argument('[version]', 'version, `promoted` or `candidate`', 'promoted')
    .option(
      '--storage <name>',
      'put the disks of the template on this storage; as root, or when the policy of the host has the same',
    )
    .option('--dry-run', 'download the release and print the plan; change nothing')
    .option('--deploy-script <file>', 'run this deploy.sh (default: the installed one)')
    .option('--keep-download', 'keep the downloaded files in the cache')
    .option('--repository <owner/name>', 'read releases from this repository (default: $GITHUB_REPOSITORY)')
    .option('--json', 'print the result as JSON')
    .addHelpText('after', examples('seeder deploy haproxy --dry-run', 'seeder deploy haproxy 3.0.12-1'))
    .action(
      async (
        image: string,
        which: string,
        { json, ...options }: Omit<DeployOptions, 'image' | 'which'> & { json?: boolean },
      ) => {
        const result = await deployCommand({ ...options, image, which }, context())
        print(json ? result : describeDeploy(result, options))
      },
    )
}

/** Deploys a release to this host. Throws SeederError. */
export async function deployCommand(
  options: DeployOptions,
  context: Context,
  env: NodeJS.ProcessEnv = process.env,
): Promise<DeployResult> {
  const script = deployScript(options.deployScript, context.checkout)
  const progress = context.progress()
  const { releases } = connectRepository(env, options.repository, progress)
  const request = {
    image: options.image,
    which: options.which ?? 'promoted',
    storage: options.storage,
    dryRun: options.dryRun ?? false,
    keepDownload: options.keepDownload ?? false,
    script,
    cache: context.cache,
    allowedSigners: findAllowedSigners(undefined, context.project),
  }
  const result = await deployRelease(releases, request, { progress, signal: interruption })
  progress.done()
  return result
}

function describeDeploy(
  { image, version, vmid, changed, before, host }: DeployResult,
  { dryRun }: Pick<DeployOptions, 'dryRun'>,
): string {
  const template = vmid === null ? 'a new template' : `template ${vmid}`
  if (!changed) return `${image} ${version} is deployed already: ${template} on ${host}`
  const place = before === null || before === vmid ? '' : `, replacing template ${before}`
  return `${image} ${version} ${dryRun ? 'would be' : 'is'} ${template} on ${host}${place}`
}
