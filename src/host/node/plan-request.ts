import { randomBytes } from 'node:crypto'
import type { VendorFile } from '../../guest/vendor-data.ts'
import { SeederError, UsageError } from '../../report/error.ts'
import type { Host } from '../commands.ts'
import { answeringAddresses, searchWays } from './address-search.ts'
import { checkValues } from './check-values.ts'
import { type EtcdCluster, etcdNodes, findCluster } from './etcd.ts'
import type { HostFacts } from './facts.ts'
import { type LedgerMember, mainAddress, type NodeEntry } from './ledger.ts'
import { foundersOf, type Placement, placeNodes } from './placement.ts'
import { type NodePlan, planNodes } from './plan.ts'
import { checkRequest, type NodeRequest } from './request.ts'
import { type Certificates, certificateFiles } from './tls.ts'
import { type ValueSources, vipsByZone } from './values.ts'

/** What is left to do for a request: some of its nodes may exist already. */
export interface RequestPlan {
  /** The nodes to make. */
  readonly plans: readonly NodePlan[]
  /** The nodes that an earlier run has made and that are not ready yet. */
  readonly waiting: readonly NodeEntry[]
  /** The nodes that are ready. */
  readonly done: readonly NodeEntry[]
  /** A line for each zone in which addresses were chosen without a search for other machines that have them. */
  readonly unsearched: readonly string[]
}

/** All nodes of a request: those to make, those to wait for, and those that are ready. */
export function entriesOf({ plans, waiting, done }: RequestPlan): NodeEntry[] {
  return [...plans.map(({ entry }) => entry), ...waiting, ...done]
}

/** The states in which the values of other nodes may name a node. */
const statesWithMachine = ['starting', 'created']

/** Options of `planRequest`. */
export interface PlanOptions {
  /** The checkout of this program, whose images check the values. */
  readonly checkout: string
  readonly certificates: Certificates
  readonly replaces?: string
}

/**
 * Plans a request, and changes nothing.
 * @throws UsageError for a request that makes no sense, SeederError for what the host lacks
 */
export async function planRequest(
  host: Host,
  facts: HostFacts,
  request: NodeRequest,
  options: PlanOptions,
): Promise<RequestPlan> {
  checkRequest(request)
  const existing = facts.entries.filter((entry) => request.names.includes(entry.name))
  for (const { name, role } of existing) {
    if (role === request.role) continue
    throw new UsageError(`${name} exists already, as ${role}`, { fix: 'choose another name' })
  }
  const waiting = existing.filter(({ state }) => state === 'starting')
  const done = existing.filter(({ state }) => state === 'created')
  const names = request.names.filter((name) => ![...waiting, ...done].some((entry) => entry.name === name))
  if (names.length === 0) return { plans: [], waiting, done, unsearched: [] }

  const missing = { ...request, names }
  const cluster = request.role === 'etcd' ? await findOrFoundCluster(host, facts, request, names) : undefined
  const { placements, unsearched } = await placeSilently(host, facts, missing)
  const files = new Map<string, VendorFile[]>()
  for (const placement of placements) {
    files.set(
      placement.name,
      await certificateFiles(options.certificates, request.role, request.values, placement),
    )
  }
  const plans = planNodes(facts, missing, {
    placements,
    peers: facts.entries.filter(
      ({ name, state }) => !names.includes(name) && statesWithMachine.includes(state),
    ),
    files,
    cluster: cluster?.(placements),
    replaces: options.replaces,
  })
  await requireValues(options.checkout, plans)
  requirePeers(facts, request, plans)
  return { plans, waiting, done, unsearched }
}

/** @throws UsageError with every value that the first boot of a node would refuse */
async function requireValues(checkout: string, plans: readonly NodePlan[]): Promise<void> {
  const found = await Promise.all(
    plans.map(async ({ entry: { role, name }, values }) => {
      const problems = await checkValues(checkout, role, values, name)
      return problems.map(({ key, reason }) => `${name}: ${key}: ${reason}`)
    }),
  )
  const problems = found.flat()
  if (problems.length === 0) return
  throw new UsageError(problems.join('\n'), {
    fix: 'give the right values with --set KEY=VALUE or --env FILE; the keys are in the README of the image',
  })
}

/** Refuses load balancers that share VIPs and could not be each other's peers, before they are made. */
function requirePeers(
  { platform, entries }: HostFacts,
  { role, values }: NodeRequest,
  plans: readonly NodePlan[],
): void {
  const [first] = vipsByZone(platform)
  const names = new Set(
    [...entries, ...plans.map(({ entry }) => entry)]
      .filter((one) => one.role === 'haproxy')
      .map(({ name }) => name),
  )
  if (role !== 'haproxy' || first === undefined || platform.zones[first.zone]?.range !== undefined) return
  if (names.size < 2 || values.VIP === '' || values.VRRP_PEERS !== undefined) return
  throw new UsageError(
    `${[...names].join(' and ')} cannot share the VIPs of the platform file: keepalived needs their addresses in the network of a VIP, and in the zone ${first.zone} nodes get theirs by DHCP`,
    {
      fix: 'give a zone with a VIP a range in platform.yaml; or create only one load balancer; or name the address of the other one: --set VRRP_PEERS=ADDRESS',
    },
  )
}

/** Places nodes at addresses where no machine answers, in the zones that this host reaches. */
async function placeSilently(
  host: Host,
  facts: HostFacts,
  request: NodeRequest,
): Promise<{ placements: Placement[]; unsearched: readonly string[] }> {
  const { interfaces, unsearched } = await searchWays(host, facts.platform, request.role)
  const answering: string[] = []
  const makeToken = () => randomBytes(16).toString('hex')
  for (;;) {
    const placements = placeNodes(facts, request, { makeToken, answering })
    const places = placements.flatMap(({ addresses }) =>
      Object.entries(addresses).flatMap(([zone, address]) => {
        const name = interfaces.get(zone)
        return name === undefined ? [] : [{ interface: name, address }]
      }),
    )
    const found = await answeringAddresses(host, places)
    const fresh = found.filter((address) => !answering.includes(address))
    if (fresh.length === 0) return { placements: requireSilent(placements, found), unsearched }
    answering.push(...fresh)
  }
}

/** Refuses an address that answers and is reserved for a node, which can have no other one. */
function requireSilent(placements: Placement[], found: readonly string[]): Placement[] {
  const [address] = found
  if (address === undefined) return placements
  const holder = placements.find(({ addresses }) => Object.values(addresses).includes(address))
  throw new SeederError(`${address}, which is kept for ${holder?.name}, answers: somebody else has it`, {
    fix: 'find out who, and take the address away from there',
  })
}

type MakeCluster = (placements: readonly Placement[]) => ValueSources['cluster']

/** The cluster of etcd that new members found or join. */
async function findOrFoundCluster(
  host: Host,
  facts: HostFacts,
  request: NodeRequest,
  names: readonly string[],
): Promise<MakeCluster> {
  if (request.newCluster) return foundCluster(facts, request, names)
  const [name = ''] = names
  const cluster = await findCluster(host, etcdNodes(facts.entries, [name]))
  if (!cluster) {
    throw new UsageError(`${name} has no cluster to join: no member on this host answers`, {
      fix: 'start the members; or, to found a cluster, name all of its members and add --new-cluster',
    })
  }
  return ([placement]) => ({
    state: 'existing',
    via: cluster.via.vmid,
    members: membersWith(cluster, placement),
  })
}

/** The started members of a cluster, and the new one. */
function membersWith(cluster: EtcdCluster, placement: Placement | undefined): LedgerMember[] {
  const own = placement ? [{ name: placement.name, address: mainAddress(placement) }] : []
  const started = cluster.members.filter(
    ({ name, address }) =>
      name !== '-' && !own.some((member) => member.address === address || member.name === name),
  )
  return [...started.map(({ name, address }) => ({ name, address })), ...own]
}

function foundCluster(facts: HostFacts, request: NodeRequest, names: readonly string[]): MakeCluster {
  const founders = foundersOf(request.names, facts.entries)
  const others = etcdNodes(facts.entries, founders ? request.names : []).map(({ name }) => name)
  if (others.length > 0) {
    throw new UsageError(`There is a cluster of etcd on this host already: ${others.join(', ')}`, {
      fix: 'leave --new-cluster out to add a member to it; or destroy its members first',
    })
  }
  const outsider = founders && names.find((name) => !founders.members.some((member) => member.name === name))
  if (outsider !== undefined) {
    const known = founders?.members.map(({ name }) => name).join(' ')
    throw new UsageError(`${outsider} is not one of the cluster that an earlier run began to found`, {
      fix: `finish that first: seeder node create ${known} --role etcd --new-cluster`,
    })
  }
  const given = request.values.ETCD_TOKEN ?? ''
  if (founders && given !== '' && given !== founders.token) {
    throw new UsageError(`The cluster that an earlier run began to found has the token ${founders.token}`, {
      fix: 'leave ETCD_TOKEN out, or give that one',
    })
  }
  return (placements) => ({
    state: 'new',
    token: founders?.token ?? (given || `seeder-${randomBytes(4).toString('hex')}`),
    members:
      founders?.members ??
      placements.map((placement) => ({ name: placement.name, address: mainAddress(placement) })),
  })
}

/** The facts as they will be after `recover`, for a plan that changes nothing. */
export function factsAfterRecovery(facts: HostFacts): HostFacts {
  const undone = facts.entries.filter(({ state }) => state === 'creating' || state === 'destroying')
  const isUndone = ({ vmid }: { readonly vmid: number }) =>
    undone.some((entry) => entry.vmid === vmid && entry.cloned)
  return {
    ...facts,
    guests: facts.guests.filter((guest) => !isUndone(guest)),
    volumes: facts.volumes.filter((volume) => !isUndone(volume)),
    entries: facts.entries.flatMap((entry) => {
      if (!undone.includes(entry)) return [entry]
      return entry.state === 'creating' && entry.joins ? [{ ...entry, state: 'reserved' as const }] : []
    }),
  }
}
