import { existsSync } from 'node:fs'
import { hostname } from 'node:os'
import { z } from 'zod'
import { readJson } from '../files/json.ts'
import { UsageError } from '../report/error.ts'
import { foreignLine } from '../report/text-schemas.ts'
import type { Argv } from './commands.ts'
import { type ListedTemplate, parseTemplateList } from './deploy-result.ts'
import { INSTALLED_SCRIPT, runDeployScript } from './deploy-script.ts'
import { PVE_FOLDER } from './guests.ts'
import { Ledger, type NodeEntry } from './node/ledger.ts'

/** `seeder status --host-only --json`. */
export const hostReportSchema = z.object({
  schema: z.literal(1),
  /** The Proxmox node. */
  host: foreignLine.min(1),
  /** When it was read; ISO 8601. */
  taken: z.iso.datetime(),
  templates: z.array(
    z.object({
      image: foreignLine,
      version: foreignLine,
      vmid: z.int(),
      storage: foreignLine,
      current: z.boolean(),
      deployed: foreignLine,
      sha256: foreignLine,
      /** The known VMs made of it: linked clones, and nodes of `seeder node`, which have names. */
      clones: z.array(z.object({ vmid: z.int(), name: foreignLine.nullable() })),
    }),
  ),
})

/** The templates of a host and what was made of them. */
export type HostReport = z.output<typeof hostReportSchema>
export type ReportedTemplate = HostReport['templates'][number]

/** Whether templates are deployed on this host, as far as this user can see. */
export function isDeployHost(exists: (path: string) => boolean = existsSync): boolean {
  return exists(`${PVE_FOLDER}/local`) || exists(INSTALLED_SCRIPT)
}

/**
 * Reads the report of this host. It has full clones of `seeder node` when root runs it: nobody else may read the
 * ledger.
 * @param script how deploy.sh is started
 * @throws SeederError when deploy.sh fails
 */
export async function readHostReport(
  script: Argv,
  options: { note: (line: string) => void; signal: AbortSignal },
): Promise<HostReport> {
  const templates = parseTemplateList(await runDeployScript([...script, '--list', '--json'], options))
  return makeHostReport(templates, await new Ledger().read(), new Date())
}

export function makeHostReport(
  templates: readonly ListedTemplate[],
  nodes: readonly NodeEntry[],
  taken: Date,
): HostReport {
  return {
    schema: 1,
    host: templates[0]?.node ?? hostname().split('.')[0] ?? '',
    taken: taken.toISOString(),
    templates: templates.map(({ node: _node, clones, ...template }) => ({
      ...template,
      clones: clonesOf(template.vmid, clones, nodes),
    })),
  }
}

function clonesOf(
  template: number,
  linked: readonly number[],
  nodes: readonly NodeEntry[],
): ReportedTemplate['clones'] {
  const made = nodes.filter((node) => node.template.vmid === template && node.state !== 'reserved')
  const vmids = new Set([...linked, ...made.map(({ vmid }) => vmid)])
  return [...vmids]
    .sort((a, b) => a - b)
    .map((vmid) => ({ vmid, name: made.find((node) => node.vmid === vmid)?.name ?? null }))
}

/**
 * Reads a report that `seeder status --host-only --json` wrote on a host.
 * @throws UsageError when the file is no such report
 */
export async function readReportFile(file: string): Promise<HostReport> {
  return readJson(file, hostReportSchema, {
    what: 'the report of a host',
    fix: 'write one on the host: seeder status --host-only --json > FILE',
    error: UsageError,
    pipes: true,
  })
}
