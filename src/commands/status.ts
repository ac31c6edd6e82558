import { type Command, Option } from 'commander'
import { z } from 'zod'
import { hostCommands, requireRoot } from '../host/commands.ts'
import { deployScript } from '../host/deploy-script.ts'
import { driftCount, driftReport, driftText } from '../host/drift.ts'
import {
  type HostReport,
  hostReportSchema,
  isDeployHost,
  readHostReport,
  readReportFile,
} from '../host/report.ts'
import { interruption } from '../process/interruption.ts'
import { channelsByImage } from '../release/channel/channels.ts'
import { statusRowSchema, statusRows } from '../release/deploy/status.ts'
import { statusMarkdown, statusText } from '../release/deploy/status-text.ts'
import { SeederError } from '../report/error.ts'
import { print } from '../report/print.ts'
import type { Context } from './context.ts'
import { connectRepository } from './context.ts'
import { examples } from './options.ts'

/** The options of `status`. */
export interface StatusOptions {
  /** Files with the reports of other hosts. */
  readonly hostReport?: readonly string[] | undefined
  readonly deployScript?: string | undefined
  readonly repository?: string | undefined
}

/** The output of `status --json`. */
export const statusSchema = z
  .object({
    repository: z.string(),
    rows: z.array(statusRowSchema).readonly(),
    hosts: z.array(hostReportSchema).readonly(),
  })
  .readonly()

export type StatusReport = z.output<typeof statusSchema>

/** Adds `status`. */
export function registerStatusCommand(program: Command, context: () => Context): void {
  program
    .command('status')
    .description(
      'Show which version of each image is candidate, promoted and deployed, and which nodes are behind.',
    )
    .option('--host-report <file...>', 'also read what `status --host-only` printed on other hosts')
    .option('--deploy-script <file>', 'run this deploy.sh (default: the installed one)')
    .option('--repository <owner/name>', 'read releases from this repository (default: $GITHUB_REPOSITORY)')
    .option('--markdown', 'print the table as Markdown, for a job summary')
    .addOption(
      new Option(
        '--drift',
        'check that every clone and template of this host still is what it was made as',
      ).conflicts(['hostReport', 'markdown', 'repository', 'hostOnly']),
    )
    .addOption(
      new Option('--host-only', 'print the templates of this host as JSON, without GitHub')
        .implies({ json: true })
        .conflicts(['hostReport', 'markdown', 'repository']),
    )
    .addOption(new Option('--json', 'print JSON').conflicts('markdown'))
    .addHelpText('after', examples('seeder status', 'seeder status --drift'))
    .action(
      async ({
        json,
        markdown,
        hostOnly,
        drift,
        ...options
      }: StatusOptions & { json?: boolean; markdown?: boolean; hostOnly?: boolean; drift?: boolean }) => {
        if (drift) {
          await showDrift(options, context(), json ?? false)
          return
        }
        if (hostOnly) {
          print(await hostReport(options, context()))
          return
        }
        const status = await statusCommand(options, context())
        print(json ? status : markdown ? statusMarkdown(status.rows) : statusText(status.rows))
      },
    )
}

/**
 * Combines the releases on GitHub with the templates of this host, if it is a Proxmox VE host, and of other hosts' reports.
 * @throws SeederError when one of them cannot be read
 */
export async function statusCommand(
  options: StatusOptions,
  context: Context,
  env: NodeJS.ProcessEnv = process.env,
): Promise<StatusReport> {
  const progress = context.progress()
  const { releases, repository } = connectRepository(env, options.repository, progress)
  const given = await Promise.all((options.hostReport ?? []).map(readReportFile))
  const isHost = options.deployScript !== undefined || isDeployHost()
  const hosts = isHost ? [...given, await hostReport(options, context)] : given
  const rows = statusRows(channelsByImage(await releases.list()), hosts)
  return { repository, rows, hosts }
}

/**
 * Prints the drift on this host.
 * @throws SeederError when there is any
 */
async function showDrift(options: StatusOptions, context: Context, json: boolean): Promise<void> {
  requireRoot('seeder status --drift')
  const report = await driftReport(
    hostCommands(undefined),
    deployScript(options.deployScript, context.checkout),
    () => hostReport(options, context),
  )
  print(json ? report : driftText(report))
  const count = driftCount(report)
  if (count === 0) return
  throw new SeederError(
    `${count} of the nodes and templates of ${report.host} have changed since they were created, or do not report`,
    {
      fix: 'find out who changed them, or why they do not report; then replace the node (seeder node replace), or deploy the template again',
    },
  )
}

/** The report of this host. */
function hostReport(options: StatusOptions, context: Context): Promise<HostReport> {
  const script = deployScript(options.deployScript, context.checkout)
  // The other output of deploy.sh is for a person who runs it directly.
  return readHostReport(script, { note: () => {}, signal: interruption })
}
