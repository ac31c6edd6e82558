import { formatNodeEnv, type NodeValues } from '../../guest/node-env.ts'
import { NODE_ENV_PATH, type VendorFile, vendorData } from '../../guest/vendor-data.ts'
import { roles, secretKeys } from '../../platform/roles.ts'
import { cardOptions, defaultRouteZone, prefixOf, zoneOf } from '../../platform/zones.ts'
import { SeederError } from '../../report/error.ts'
import type { Argv } from '../commands.ts'
import { currentTemplate, type Template } from '../templates.ts'
import type { HostFacts } from './facts.ts'
import type { NodeEntry } from './ledger.ts'
import { describeNode, nodeTags, type PlannedCommand } from './machine.ts'
import type { Placement } from './placement.ts'
import type { NodeRequest } from './request.ts'
import { nodeValues, type PeerNode, type ValueSources } from './values.ts'

/** Everything that is written and run to make a node. */
export interface NodePlan {
  readonly entry: NodeEntry
  readonly values: NodeValues
  readonly files: readonly VendorFile[]
  /** The text of `entry.snippet.file`, which only root may read. */
  readonly snippet: string
  /** From the clone to the complete VM, in this order. */
  readonly prepare: readonly PlannedCommand[]
  readonly start: Argv
  /** The id of the VM of a member of the cluster that it joins. */
  readonly joinsBy: number | undefined
}

/** The sources of a plan, beside the facts and the request. */
export interface PlanSources {
  readonly placements: readonly Placement[]
  /** The existing nodes, which the values of the new ones may name. */
  readonly peers: readonly PeerNode[]
  /** The files that a node gets beside node.env. */
  readonly files: ReadonlyMap<string, readonly VendorFile[]>
  readonly cluster: ValueSources['cluster']
  readonly replaces: string | undefined
}

const GIB = 1024 ** 3

/**
 * The plan for each node of a request. Pure, so that `plan` shows what `create` does.
 * @throws SeederError when there is no template
 */
export function planNodes(facts: HostFacts, request: NodeRequest, sources: PlanSources): NodePlan[] {
  const template = currentTemplate(roles[request.role].image, facts.node, facts.guests, facts.templates)
  const group = sources.placements.map((placement) => ({ ...placement, role: request.role }))
  return sources.placements.map((placement, index) => {
    const files = sources.files.get(placement.name) ?? []
    const values = nodeValues({
      platform: facts.platform,
      role: request.role,
      self: placement,
      peers: [...sources.peers, ...group.filter(({ name }) => name !== placement.name)],
      leads: index === 0 && group.length > 1,
      given: request.values,
      files: files.map(({ path }) => path),
      cluster: sources.cluster,
      dataDisk: request.dataDisk !== undefined,
    })
    return planNode(facts, request, sources, { template, placement, values, files })
  })
}

/** The template of a request, and what is particular to one of its nodes. */
interface NodeParts {
  readonly template: Template
  readonly placement: Placement
  readonly values: NodeValues
  /** The files that it gets beside node.env. */
  readonly files: readonly VendorFile[]
}

function planNode(
  facts: HostFacts,
  request: NodeRequest,
  sources: PlanSources,
  { template, placement, values, files: others }: NodeParts,
): NodePlan {
  const { snippets } = facts
  const { name, vmid, token, addresses } = placement
  const { cluster } = sources
  const entry: NodeEntry = {
    schema: 1,
    name,
    role: request.role,
    state: 'creating',
    vmid,
    token,
    cloned: false,
    template: { vmid: template.vmid, version: template.version },
    addresses: { ...addresses },
    snippet: {
      volume: `${snippets.storage}:snippets/seeder-${name}.yaml`,
      file: `${snippets.folder}/seeder-${name}.yaml`,
    },
    values: Object.fromEntries(Object.entries(request.values).filter(([key]) => !secretKeys.includes(key))),
    ...(cluster?.state === 'new'
      ? { founders: { token: cluster.token, members: [...cluster.members] } }
      : {}),
    joins: cluster?.state === 'existing',
    ...(sources.replaces === undefined ? {} : { replaces: sources.replaces }),
  }
  const files = [{ path: NODE_ENV_PATH, permissions: '0600', content: formatNodeEnv(values) }, ...others]
  return {
    entry,
    values,
    files,
    snippet: vendorData(token, files),
    prepare: [
      { argv: cloneCommand(entry, request, template) },
      configureCommand(facts, request, template, entry),
      ...growCommands(facts, request, template, vmid),
      ...(request.dataDisk === undefined ? [] : [dataDiskCommand(request, template, vmid, request.dataDisk)]),
    ],
    start: ['qm', 'start', String(vmid)],
    joinsBy: cluster?.state === 'existing' ? cluster.via : undefined,
  }
}

function cloneCommand(entry: NodeEntry, request: NodeRequest, template: Template): Argv {
  return [
    ...(['qm', 'clone', String(template.vmid), String(entry.vmid)] as const),
    '--name',
    entry.name,
    '--description',
    describeNode(entry),
    ...(request.full ? ['--full', '1'] : []),
    ...(request.full && request.storage !== undefined ? ['--storage', request.storage] : []),
  ]
}

function configureCommand(
  { platform }: HostFacts,
  request: NodeRequest,
  template: Template,
  { role, addresses, vmid, snippet }: NodeEntry,
): PlannedCommand {
  const { zones, cores, memory } = platform.roles[role]
  const routed = defaultRouteZone(platform, role)
  const networks = zones.flatMap((name, card) => {
    const zone = zoneOf(platform, name)
    const address = addresses[name]
    const gateway = name === routed && zone.gateway !== undefined ? `,gw=${zone.gateway}` : ''
    return [
      [`net${card}`, ['virtio', `bridge=${zone.bridge}`, ...cardOptions(zone), 'firewall=1'].join(',')],
      [`ipconfig${card}`, address === undefined ? 'ip=dhcp' : `ip=${address}/${prefixOf(zone)}${gateway}`],
    ] as const
  })
  const sets = Object.fromEntries([
    ['cores', String(cores)],
    ['memory', String(memory)],
    ['onboot', '1'],
    // The clone of a protected template could not be destroyed, nor could its cloud-init drive be detached.
    ['protection', '0'],
    ...(template.settings.has('agent') ? [] : [['agent', 'enabled=1'] as const]),
    ...networks.filter(([key]) => key.startsWith('ipconfig')),
    ['nameserver', platform.dns.join(' ')],
    ...(request.user === undefined ? [] : [['ciuser', request.user] as const]),
    ['cicustom', `vendor=${snippet.volume}`],
  ])
  const used = new Set<string>(networks.map(([key]) => key))
  const surplus = [...template.settings].filter((key) => /^(net|ipconfig)\d+$/.test(key) && !used.has(key))
  return {
    argv: [
      ...(['qm', 'set', String(vmid)] as const),
      '--tags',
      [...nodeTags, role].join(';'),
      ...networks.filter(([key]) => key.startsWith('net')).flatMap(([key, value]) => [`--${key}`, value]),
      ...Object.entries(sets).flatMap(([key, value]) => [`--${key}`, value]),
      ...(request.sshKeys === undefined ? [] : ['--sshkeys', request.sshKeys]),
      ...(surplus.length > 0 ? ['--delete', surplus.sort().join(',')] : []),
    ],
    sets,
  }
}

/** Disks only grow: a larger disk of the template stays as it is. */
function growCommands(
  { platform, volumes }: HostFacts,
  { role }: NodeRequest,
  template: Template,
  vmid: number,
): PlannedCommand[] {
  const { slot, volume, bytes } = template.disk
  const gib = platform.roles[role].disk
  const has = bytes ?? volumes.find(({ id }) => id === volume)?.bytes
  if (has === undefined) {
    throw new SeederError(
      `How large the disk of template ${template.vmid} is cannot be found out: ${volume}`,
      {
        fix: `see whether its storage is active: pvesm status; and run: qm disk rescan --vmid ${template.vmid}`,
      },
    )
  }
  if (has >= gib * GIB) return []
  const argv: Argv = ['qm', 'disk', 'resize', String(vmid), slot, `${gib}G`]
  return [{ argv, grows: { slot, bytes: gib * GIB } }]
}

function dataDiskCommand(
  request: NodeRequest,
  template: Template,
  vmid: number,
  gib: number,
): PlannedCommand {
  const slot = Array.from({ length: 30 }, (_, number) => `scsi${number + 1}`).find(
    (free) => !template.settings.has(free),
  )
  const storage = request.storage ?? template.disk.volume.split(':')[0]
  return {
    argv: ['qm', 'set', String(vmid), `--${slot}`, `${storage}:${gib},discard=on,iothread=1`],
    grows: { slot: slot ?? '', bytes: gib * GIB },
  }
}
