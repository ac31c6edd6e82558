import { join } from 'node:path'
import { type Command, InvalidArgumentError, Option } from 'commander'
import { z } from 'zod'
import { hostCommands, requireRoot, withLock } from '../host/commands.ts'
import { readGuests } from '../host/guests.ts'
import { makeNodes, reportLeftoversOnStop } from '../host/node/create.ts'
import { destroyNodes, requireEntry } from '../host/node/destroy.ts'
import { proxmoxNode, readFacts } from '../host/node/facts.ts'
import { Ledger, type NodeEntry } from '../host/node/ledger.ts'
import { listNodes, nodeTable, readStates } from '../host/node/list.ts'
import { readPriority } from '../host/node/peers.ts'
import { entriesOf, factsAfterRecovery, planRequest, type RequestPlan } from '../host/node/plan-request.ts'
import { planText, showPlan } from '../host/node/plan-text.ts'
import { type NodeWork, recover } from '../host/node/recover.ts'
import { checkReplacement, replaceNode } from '../host/node/replace.ts'
import { defaultVmids, type NodeRequest } from '../host/node/request.ts'
import { findTemplate, readTemplateEntries } from '../host/templates.ts'
import { loadPlatform } from '../platform/load.ts'
import { roles } from '../platform/roles.ts'
import { type Platform, type RoleName, roleNames } from '../platform/schema.ts'
import { UsageError } from '../report/error.ts'
import { print } from '../report/print.ts'
import { formatTable } from '../report/table.ts'
import type { Context } from './context.ts'
import { certificatesOf, type MakeFlags, requestOf } from './node-options.ts'
import { examples } from './options.ts'

/** Adds `node plan|create|list|destroy|replace`. */
export function registerNodeCommand(program: Command, context: () => Context): void {
  const node = program
    .command('node')
    .description('Create, replace and destroy nodes, on the Proxmox VE host, as root.')

  withMakeOptions(node.command('plan').argument('<name...>', 'names of the nodes'))
    .description('Print the files and commands that `create` would write and run; change nothing.')
    .requiredOption('--role <role>', `give them this role: ${roleNames.join(', ')}`, roleName)
    .option('--no-start', 'plan nodes that are left stopped')
    .option('--json', 'print JSON')
    .addHelpText('after', examples('seeder node plan w4 --role worker'))
    .action(
      async (names: string[], flags: MakeFlags & { role: RoleName; start: boolean; json?: boolean }) => {
        const { facts, host } = await survey(context(), flags, undefined)
        const request = await requestOf(names, flags.role, flags)
        const plan = await planRequest(host, factsAfterRecovery(facts), request, {
          checkout: context().checkout,
          certificates: certificatesOf(flags, () => {}, false),
        })
        const shown = plan.plans.map((node) => showPlan(node, flags.start))
        print(flags.json ? shown : [...presentText(plan), ...shown.map(planText)].join('\n\n'))
      },
    )

  withMakeOptions(node.command('create').argument('<name...>', 'names of the nodes'))
    .description('Create nodes, start them, and wait until they are ready. A second run continues.')
    .requiredOption('--role <role>', `give them this role: ${roleNames.join(', ')}`, roleName)
    .option('--no-start', 'leave the nodes stopped')
    .option('--json', 'print the nodes as JSON')
    .addHelpText(
      'after',
      examples('seeder node create etcd1 etcd2 etcd3 --role etcd --new-cluster --data-disk 20'),
    )
    .action(
      async (names: string[], flags: MakeFlags & { role: RoleName; start: boolean; json?: boolean }) => {
        await change(context(), async (work) => {
          const { facts, host, platform } = await survey(context(), flags, work)
          const request = await requestOf(names, flags.role, flags)
          const plan = await planRequest(host, facts, request, {
            checkout: context().checkout,
            certificates: certificatesOf(flags, work.note),
          })
          for (const line of presentText(plan)) work.note(line)
          const { entries, statuses } = await makeNodes(work, plan, {
            platform,
            start: flags.start,
            timeoutMs: flags.wait * 1000,
          })
          const rows = entries.map((entry) => madeNode(entry, statuses.get(entry.name)))
          print(flags.json ? rows : rows.map(nodeLine).join('\n'))
        })
      },
    )

  node
    .command('list')
    .description('List the nodes of this host, and which are behind the current template.')
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
      const states = await readStates(host, name)
      const rows = listNodes(name, { entries, guests, templates, states })
      print(json ? rows : formatTable(...nodeTable(rows)))
    })

  node
    .command('destroy')
    .description('Destroy nodes with all that belongs to them. Refuses what `seeder node` did not create.')
    .argument('<name...>', 'names of the nodes')
    .option('--force', 'also destroy nodes that run, and the last members of a cluster with its data')
    .addHelpText('after', examples('seeder node destroy w3'))
    .action(async (names: string[], { force }: { force?: boolean }) => {
      await change(context(), (work, gone) => destroyNodes(work, names, gone, force ?? false))
    })

  withMakeOptions(node.command('replace').argument('<name>', 'name of the node to replace'))
    .description(
      'Create a node from the current template and, once it is healthy, remove the one it replaces.',
    )
    .requiredOption('--with <name>', 'name the new node')
    .option('--drained', 'confirm that the pods of the worker or control plane were moved')
    .addHelpText('after', examples('seeder node replace w3 --with w4 --drained'))
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
    throw new UsageError(`${other.name} exists already, and was not created to replace ${name}`, {
      fix: 'choose another name for the new node',
    })
  }
  const model = old ?? other ?? requireEntry(facts.entries, name)
  const isBehind = ({ role, template }: NodeEntry) =>
    findTemplate(roles[role].image, facts.node, facts.guests, facts.templates)?.vmid !== template.vmid
  if (old && !other) await checkReplacement(work, { platform, old, isBehind })
  const request: NodeRequest = await requestOf([flags.with], model.role, flags, {
    ...(await readPriority(model)),
    ...model.values,
  })
  const plan = await planRequest(host, facts, request, {
    checkout: context.checkout,
    certificates: certificatesOf(flags, work.note),
    replaces: name,
  })
  for (const line of plan.unsearched) work.note(line)
  const replacement = {
    platform,
    old,
    plan,
    isBehind,
    drained: flags.drained ?? false,
    timeoutMs: flags.wait * 1000,
  }
  const { oldIsGone, hints } = await reportLeftoversOnStop(entriesOf(plan), () =>
    replaceNode(work, replacement),
  )
  print([...(oldIsGone ? [`${flags.with} has replaced ${name}`] : []), ...hints].join('\n'))
}

/** Reads the state of the host. Without `work` it holds no lock, and nothing may be changed. */
async function survey(context: Context, flags: MakeFlags, work: NodeWork | undefined) {
  requireRoot()
  const host = work?.host ?? hostCommands(undefined)
  const platform: Platform = await loadPlatform(flags.platform ?? join(context.project(), 'platform.yaml'))
  const facts = await readFacts(host, work?.ledger ?? new Ledger(), platform, flags.snippets)
  return { host, platform, facts }
}

/** Runs a command that makes changes: under the lock of this host, and after recovery from a killed run. */
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
    .option('--platform <file>', 'read this platform file (default: platform.yaml of the project)')
    .option('--new-cluster', 'etcd: found a new cluster with these nodes as its members')
    .option('--set <key=value>', 'set a value of node.env; an empty one removes it', collect, [])
    .option('--env <file>', 'read values of node.env from this file, for secrets')
    .option('--pki <dir>', 'issue certificates from this folder of `seeder pki` (default: its own)')
    .option('--tls <dir>', 'take certificates from this folder instead: etcd-ca.crt, NAME.crt, NAME.key, …')
    .option('--ssh-keys <file>', 'let the owners of these public keys log in')
    .option('--user <name>', 'create this user for ssh (default: that of the image)')
    .option(
      '--vmid-range <first-last>',
      'use ids of this range for the VMs; one number for one node',
      `${defaultVmids.first}-${defaultVmids.last}`,
    )
    .option('--full', 'copy the template’s disk instead of building on it')
    .option(
      '--storage <name>',
      'put full clones and data disks on this storage (default: that of the template)',
    )
    .option('--data-disk <gib>', 'etcd: put the data on a disk of its own of this size', positive)
    .option(
      '--snippets <storage>',
      'write the vendor data to this storage (default: the one that has snippets)',
    )
    .addOption(
      new Option('--wait <seconds>', 'wait this long for a node to become ready')
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
  const role = roleNames.find((name) => name === text)
  if (role) return role
  throw new InvalidArgumentError(`Use one of ${roleNames.join(', ')}.`)
}

function presentText({ waiting, done, unsearched }: RequestPlan): string[] {
  return [
    ...unsearched,
    ...done.map(
      ({ name, vmid }) =>
        `${name} exists already, as VM ${vmid}: nothing is changed; to change a node, replace it`,
    ),
    ...waiting.map(
      ({ name, vmid }) => `${name} was created by an earlier run, as VM ${vmid}, and is not ready yet`,
    ),
  ]
}

/** A node in the output of `create --json`. */
export const madeNodeSchema = z.object({
  name: z.string(),
  role: z.string(),
  vmid: z.int(),
  addresses: z.record(z.string(), z.string()).readonly(),
  /** The version of the template that it is a clone of. */
  version: z.string(),
  /** The node's own report; null when it was not started. */
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
