import type { Command } from 'commander'
import { deployScript } from '../host/deploy-script.ts'
import { interruption } from '../interruption.ts'
import { type DeployResult, deployRelease } from '../release/deploy.ts'
import { findAllowedSigners } from '../release/signers.ts'
import { print } from '../report/print.ts'
import type { Context } from './context.ts'
import { connectRepository } from './github.ts'

/** The options of `deploy`, as they are given. */
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
    .description('on a Proxmox VE host: download a release and make a template of it')
    .argument('<image>', 'the image’s name')
    .argument('[version]', 'a version, `promoted` or `candidate`', 'promoted')
    .option(
      '--storage <name>',
      'where the template’s disks go; as root, or when the host’s policy says the same',
    )
    .option('--dry-run', 'download it and print the plan; nothing is changed')
    .option('--deploy-script <file>', 'the deploy.sh to use (default: the installed one)')
    .option('--keep-download', 'leave the downloaded files in the cache')
    .option('--repository <owner/name>', 'the repository with the releases (default: $GITHUB_REPOSITORY)')
    .option('--json', 'print the result as JSON')
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
  const place = before === null || before === vmid ? '' : `, in the place of template ${before}`
  return `${image} ${version} ${dryRun ? 'would be' : 'is'} ${template} on ${host}${place}`
}
