import { join } from 'node:path'
import { type Command, InvalidArgumentError, Option } from 'commander'
import { z } from 'zod'
import { hostCommands, requireRoot } from '../host/commands.ts'
import { readGuests } from '../host/guests.ts'
import { withLock } from '../host/lock.ts'
import { destroyNodes, requireEntry } from '../host/node/destroy.ts'
import { imageOf, proxmoxNode, readFacts } from '../host/node/facts.ts'
import { Ledger, type NodeEntry } from '../host/node/ledger.ts'
import { listNodes, nodeTable, readStates } from '../host/node/list.ts'
import { makeNodes, sayingWhatIsLeft } from '../host/node/make.ts'
import { afterRecovery, type Making, planMaking } from '../host/node/making.ts'
import { ownPriority } from '../host/node/peers.ts'
import { planText, showPlan } from '../host/node/plan-text.ts'
import { type NodeWork, recover } from '../host/node/recover.ts'
import { checkReplacement, replaceNode } from '../host/node/replace.ts'
import type { NodeRequest } from '../host/node/request.ts'
import { defaultVmids } from '../host/node/vmids.ts'
import { findTemplate, readTemplateEntries } from '../host/templates.ts'
import { loadPlatform } from '../platform/load.ts'
import { type Platform, type RoleName, roleNames } from '../platform/schema.ts'
import { UsageError } from '../report/error.ts'
import { print } from '../report/print.ts'
import { formatTable } from '../report/table.ts'
import type { Context } from './context.ts'
import { certificatesOf, type MakeFlags, requestOf } from './node-options.ts'

/** Adds `node plan|create|list|destroy|replace`. */
export function registerNodeCommand(program: Command, context: () => Context): void {
  const node = program
    .command('node')
    .description('make nodes from templates; on the Proxmox VE host, as root')

  withMakeOptions(node.command('plan').argument('<name...>', 'the nodes’ names'))
    .description('print the files and commands that `create` would write and run; nothing is changed')
    .requiredOption('--role <role>', `one of ${roleNames.join(', ')}`, roleName)
    .option('--no-start', 'as with `create`')
    .option('--json', 'print it as JSON')
    .action(
      async (names: string[], flags: MakeFlags & { role: RoleName; start: boolean; json?: boolean }) => {
        const { facts, host } = await survey(context(), flags, undefined)
        const request = await requestOf(names, flags.role, flags)
        const making = await planMaking(host, afterRecovery(facts), request, {
          certificates: certificatesOf(flags, () => {}, false),
        })
        const shown = making.plans.map((plan) => showPlan(plan, flags.start))
        print(flags.json ? shown : [...presentText(making), ...shown.map(planText)].join('\n\n'))
      },
    )

  withMakeOptions(node.command('create').argument('<name...>', 'the nodes’ names'))
    .description('make nodes, start them, and wait until they are ready; run again, it goes on')
    .requiredOption('--role <role>', `one of ${roleNames.join(', ')}`, roleName)
    .option('--no-start', 'leave the nodes stopped')
    .option('--json', 'print the nodes as JSON')
    .action(
      async (names: string[], flags: MakeFlags & { role: RoleName; start: boolean; json?: boolean }) => {
        await change(context(), async (work) => {
          const { facts, host, platform } = await survey(context(), flags, work)
          const request = await requestOf(names, flags.role, flags)
          const making = await planMaking(host, facts, request, {
            certificates: certificatesOf(flags, work.note),
          })
          for (const line of presentText(making)) work.note(line)
          const { entries, said } = await makeNodes(work, making, {
            platform,
            start: flags.start,
            timeoutMs: flags.wait * 1000,
          })
          const rows = entries.map((entry) => madeNode(entry, said.get(entry.name)))
          print(flags.json ? rows : rows.map(nodeLine).join('\n'))
        })
      },
    )

  node
    .command('list')
    .description('show the nodes of this host, and which are behind the current template')
    .option('--json', 'print JSON')
    .action(async ({ json }: { json?: boolean }) => {
      requireRoot()
      const host = hostCommands(undefined)
      const name = proxmoxNode()
      const [entries, guests, templates] = await Promise.all([
        new Ledger().read(),
        readGuests(),
        readTemplateEntries(),
      ])
      const rows = listNodes(entries, guests, templates, await readStates(host, name), name)
      print(json ? rows : formatTable(...nodeTable(rows)))
    })

  node
    .command('destroy')
    .description('destroy nodes with all that belongs to them; refuses what `seeder node` did not make')
    .argument('<name...>', 'the nodes’ names')
    .option('--force', 'also nodes that run, and the last members of a cluster with its data')
    .action(async (names: string[], { force }: { force?: boolean }) => {
      await change(context(), (work, gone) => destroyNodes(work, names, gone, force ?? false))
    })

  withMakeOptions(node.command('replace').argument('<name>', 'the node that goes'))
    .description('make a node of the current template, and when it is well let it take the place of another')
    .requiredOption('--with <name>', 'the name of the node that comes')
    .option('--drained', 'a worker or control plane: its pods have moved, it may go')
    .action(async (name: string, flags: MakeFlags & { with: string; drained?: boolean }) => {
      await change(context(), (work) => replace(work, context(), name, flags))
    })
}

async function replace(
  work: NodeWork,
  context: Context,
  name: string,
  flags: MakeFlags & { with: string; drained?: boolean },
): Promise<void> {
  const { facts, host, platform } = await survey(context, flags, work)
  const old = facts.entries.find((entry) => entry.name === name)
  const other = facts.entries.find((entry) => entry.name === flags.with)
  if (other && other.replaces !== name) {
    throw new UsageError(`${other.name} is there already, and was not made to replace ${name}`, {
      fix: 'choose a new name for the node that comes',
    })
  }
  const model = old ?? other ?? requireEntry(facts.entries, name)
  const isBehind = ({ role, template }: NodeEntry) =>
    findTemplate(imageOf(role), facts.node, facts.guests, facts.templates)?.vmid !== template.vmid
  if (old && !other) await checkReplacement(work, { platform, old, isBehind })
  const request: NodeRequest = await requestOf([flags.with], model.role, flags, {
    ...(await ownPriority(model)),
    ...model.values,
  })
  const making = await planMaking(host, facts, request, {
    certificates: certificatesOf(flags, work.note),
    replaces: name,
  })
  const replacement = {
    ...{ platform, old, making, isBehind },
    drained: flags.drained ?? false,
    timeoutMs: flags.wait * 1000,
  }
  const entries = [...making.plans.map(({ entry }) => entry), ...making.waiting, ...making.done]
  const { oldIsGone, hints } = await sayingWhatIsLeft(entries, () => replaceNode(work, replacement))
  print([...(oldIsGone ? [`${flags.with} has taken the place of ${name}`] : []), ...hints].join('\n'))
}

/** Reads what there is. Without `work` nothing is changed, and no lock is held. */
async function survey(context: Context, flags: MakeFlags, work: NodeWork | undefined) {
  requireRoot()
  const host = work?.host ?? hostCommands(undefined)
  const platform: Platform = await loadPlatform(flags.platform ?? join(context.project(), 'platform.yaml'))
  const facts = await readFacts(host, work?.ledger ?? new Ledger(), platform, flags.snippets)
  return { host, platform, facts }
}

/** Runs what changes something: alone on this host, and after what a killed run left has been put right. */
async function change(
  context: Context,
  run: (work: NodeWork, gone: readonly string[]) => Promise<void>,
): Promise<void> {
  requireRoot()
  const node = proxmoxNode()
  const progress = context.progress()
  await withLock(async (lock) => {
    const note = (text: string) => progress.note(text)
    const work: NodeWork = { host: hostCommands(lock), ledger: new Ledger(), node, note }
    await run(work, await recover(work))
  })
}

function withMakeOptions(command: Command): Command {
  return command
    .option('--platform <file>', 'the platform file (default: platform.yaml of the project)')
    .option('--new-cluster', 'etcd: these nodes are all members of a new cluster')
    .option('--set <key=value>', 'a value for node.env; an empty one takes it away', collect, [])
    .option('--env <file>', 'a file of such values; for those that are secret')
    .option('--pki <dir>', 'the folder of `seeder pki`, which issues the certificates (default: its own)')
    .option('--tls <dir>', 'instead, a folder with them: etcd-ca.crt, NAME.crt, NAME.key, …')
    .option('--ssh-keys <file>', 'public keys of those who may log in')
    .option('--user <name>', 'who may log in (default: the image’s)')
    .option(
      '--vmid-range <first-last>',
      'ids for the VMs; one number for one node',
      `${defaultVmids.first}-${defaultVmids.last}`,
    )
    .option('--full', 'copy the template’s disk instead of building on it')
    .option('--storage <name>', 'for a full clone and a data disk (default: the template’s)')
    .option('--data-disk <gib>', 'etcd: a disk of its own for the data', positive)
    .option('--snippets <storage>', 'where the vendor data is kept (default: the storage that can)')
    .addOption(
      new Option('--wait <seconds>', 'how long a node may take to get ready')
        .default(900)
        .argParser(positive),
    )
}

function collect(value: string, before: readonly string[]): string[] {
  return [...before, value]
}

function positive(text: string): number {
  if (/^[1-9]\d{0,5}$/.test(text)) return Number(text)
  throw new InvalidArgumentError('Give a whole number from 1 on.')
}

function roleName(text: string): RoleName {
  const role = roleNames.find((one) => one === text)
  if (role) return role
  throw new InvalidArgumentError(`Use one of ${roleNames.join(', ')}.`)
}

function presentText({ waiting, done }: Making): string[] {
  return [
    ...done.map(
      ({ name, vmid }) =>
        `${name} is there already, as VM ${vmid}: nothing is changed; to change a node, replace it`,
    ),
    ...waiting.map(
      ({ name, vmid }) => `${name} was made by an earlier run, as VM ${vmid}, and is not ready yet`,
    ),
  ]
}

/** A node that `create` has made. */
export const madeNodeSchema = z.object({
  name: z.string(),
  role: z.string(),
  vmid: z.int(),
  addresses: z.record(z.string(), z.string()).readonly(),
  /** The version of the template that it is a clone of. */
  version: z.string(),
  /** What the node says of itself; null when it was not started. */
  status: z.string().nullable(),
})
type MadeNode = z.output<typeof madeNodeSchema>

function madeNode(
  { name, role, vmid, addresses, template }: NodeEntry,
  status: string | undefined,
): MadeNode {
  return { name, role, vmid, addresses, version: template.version, status: status ?? null }
}

function nodeLine(row: MadeNode): string {
  const status = row.status === null ? '' : `: ${row.status}`
  return `${row.name}: ${row.role}, VM ${row.vmid}, ${Object.values(row.addresses).join(' ')}${status}`
}
