import { join } from 'node:path'
import { type Command, Option } from 'commander'
import { z } from 'zod'
import { loadPlatform } from '../platform/load.ts'
import { nftablesFor } from '../platform/nftables.ts'
import { type Platform, type RoleName, roleNames } from '../platform/schema.ts'
import { networkRows, networkTable, nodeAddressCount, portRows, portTable } from '../platform/tables.ts'
import { type SharedRange, sharedRanges } from '../platform/zones.ts'
import { UsageError } from '../report/error.ts'
import { print } from '../report/print.ts'
import { formatTable } from '../report/table.ts'
import { examples, shortPath } from './options.ts'

/** The output of `platform check --json`. */
export const platformCheckedSchema = z.object({
  file: z.string(),
  ok: z.literal(true),
  // The number of each.
  zones: z.int(),
  nodeAddresses: z.int(),
  roles: z.int(),
  vips: z.int(),
  flows: z.int(),
  /** Zones where no firewall can distinguish these roles. */
  shared: z.array(z.object({ zone: z.string(), roles: z.array(z.enum(roleNames)) })),
})

/** The output of `platform ports --nft --json`. */
export const rulesetSchema = z.object({ role: z.enum(roleNames), ruleset: z.string() })

interface CommonOptions {
  platform?: string
  json?: boolean
}

interface RoleOptions extends CommonOptions {
  role?: RoleName
}

/**
 * Adds `platform check|ports|network`.
 * @param project the project folder, whose platform.yaml is the default of --platform
 */
export function registerPlatformCommand(program: Command, project: () => string): void {
  const platform = program.command('platform').description('Validate and print the platform file.')
  const load = async (options: CommonOptions): Promise<[string, Platform]> => {
    const file = options.platform ?? shortPath(join(project(), 'platform.yaml'))
    return [file, await loadPlatform(file)]
  }

  withCommonOptions(platform.command('check'))
    .description('Validate the platform file.')
    .action(async (options: CommonOptions) => {
      const [file, site] = await load(options)
      const checked: z.output<typeof platformCheckedSchema> = {
        file,
        ok: true,
        zones: Object.keys(site.zones).length,
        nodeAddresses: nodeAddressCount(site),
        roles: Object.keys(site.roles).length,
        vips: Object.keys(site.vips).length,
        flows: Object.keys(site.flows).length,
        shared: sharedRanges(site),
      }
      const { zones, nodeAddresses, roles, vips, flows, shared } = checked
      const counts = `${zones} zones, ${nodeAddresses} node addresses, ${roles} roles, ${vips} VIPs, ${flows} flows`
      print(options.json ? checked : [`OK ${file}: ${counts}`, ...shared.map(sharedLine)].join('\n'))
    })

  withCommonOptions(platform.command('ports'))
    .description('Print the port matrix, or the firewall of a role.')
    .addOption(roleOption('print only what this role receives'))
    .option('--nft', 'print the nftables file of the role instead')
    .addHelpText('after', examples('seeder platform ports --nft --role etcd'))
    .action(async (options: RoleOptions & { nft?: boolean }) => {
      const { role, nft, json } = options
      if (nft && !role) {
        throw new UsageError('platform ports --nft: no role given', {
          fix: `add --role with one of ${roleNames.join(', ')}`,
        })
      }
      const [, site] = await load(options)
      if (nft && role) {
        const ruleset = nftablesFor(site, role)
        const record: z.output<typeof rulesetSchema> = { role, ruleset }
        print(json ? record : ruleset.trimEnd())
      } else {
        const rows = portRows(site, role)
        print(json ? rows : formatTable(...portTable(rows)))
      }
    })

  withCommonOptions(platform.command('network'))
    .description('Print the zones, their addresses and their roles.')
    .addOption(roleOption('print only the zones of this role, in the order of its network cards'))
    .addHelpText('after', examples('seeder platform network --role worker'))
    .action(async (options: RoleOptions) => {
      const [, site] = await load(options)
      const rows = networkRows(site, options.role)
      print(options.json ? rows : formatTable(...networkTable(rows)))
    })
}

function sharedLine({ zone, roles }: SharedRange): string {
  const names = roles.join(', ')
  return `warning: ${names} share the addresses of zone ${zone}: firewalls cannot distinguish them there; give each of them addresses: { ${zone}: … }`
}

function withCommonOptions(command: Command): Command {
  return command
    .option('--platform <file>', 'read this platform file (default: platform.yaml of the project)')
    .option('--json', 'print JSON')
}

function roleOption(description: string): Option {
  return new Option('--role <role>', description).choices(roleNames)
}
