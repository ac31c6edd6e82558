import type { Command } from 'commander'
import { writePage } from '../page/write.ts'
import { readBuildRecord } from '../release/format/build-record.ts'
import { findAllowedSigners } from '../release/signature/signers.ts'
import { print } from '../report/print.ts'
import type { Context } from './context.ts'
import { compareFinished, readFinished } from './diff.ts'
import { examples } from './options.ts'

/** The options of `report`. */
export interface ReportOptions {
  readonly against?: string
  readonly out?: string
  readonly allowedSigners?: string
  readonly repository?: string
}

/** Adds `report DIR`. */
export function registerReportCommand(program: Command, context: () => Context): void {
  program
    .command('report')
    .description('Write a page about an image for a browser: its contents, boot test, signature and changes.')
    .argument('<dir>', 'folder of a build or a download')
    .option(
      '--against <version>',
      'compare with an older version: a folder, a tag, IMAGE:promoted or IMAGE:candidate',
    )
    .option('--out <file>', 'write the page to this file (default: IMAGE-VERSION.report.html in the folder)')
    .option('--allowed-signers <file>', 'who may sign (default: allowed_signers of the project)')
    .option('--repository <owner/name>', 'read releases from this repository (default: $GITHUB_REPOSITORY)')
    .addHelpText('after', examples('seeder report out/haproxy --against haproxy:promoted'))
    .action(async (folder: string, options: ReportOptions) => {
      print(await reportCommand(folder, options, context()))
    })
}

/**
 * Writes the page of a finished image.
 * @returns its file
 * @throws UsageError when an option names a missing file or version, SeederError when the folder holds no image
 */
export async function reportCommand(
  folder: string,
  { against, out, allowedSigners, repository }: ReportOptions,
  context: Context,
  env: NodeJS.ProcessEnv = process.env,
): Promise<string> {
  const finished = await readBuildRecord(folder)
  return writePage({
    folder,
    finished,
    out,
    checkout: context.checkout,
    allowedSigners: findAllowedSigners(allowedSigners, context.project),
    comparison: against === undefined ? undefined : await compared(against),
  })

  async function compared(version: string) {
    const before = await readFinished(version, repository, context, env)
    const difference = await compareFinished(before, finished, context)
    return { difference, changelogs: difference.changelogs, promoted: version.endsWith(':promoted') }
  }
}
