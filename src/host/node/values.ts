import { type NodeValues, words } from '../../guest/node-env.ts'
import type { Platform, RoleName } from '../../platform/schema.ts'
import { prefixOf, routesOf, zoneOf } from '../../platform/zones.ts'
import type { LedgerMember, NodeEntry } from './ledger.ts'
import type { Placement } from './placement.ts'

/** Another node that exists, or that is made at the same time. */
export type PeerNode = Pick<NodeEntry, 'name' | 'role' | 'addresses'>

/** What a node's values are derived from. */
export interface ValueSources {
  readonly platform: Platform
  readonly role: RoleName
  readonly self: Placement
  readonly peers: readonly PeerNode[]
  /** Whether it is the first of several that are made at once. */
  readonly leads: boolean
  /** The values that the operator gives. */
  readonly given: NodeValues
  /** The paths of the files that it gets beside node.env. */
  readonly files: readonly string[]
  /** The cluster of etcd that it founds or joins: its members with this one; for a join, the VM of a member. */
  readonly cluster:
    | { readonly state: 'new'; readonly token: string; readonly members: readonly LedgerMember[] }
    | { readonly state: 'existing'; readonly members: readonly LedgerMember[]; readonly via: number }
    | undefined
  readonly dataDisk: boolean
}

/** The label of a member's data disk. */
export const DATA_LABEL = 'etcd-data'

/** Where the Kubernetes API listens. */
const API_PORT = 6443

/** A node's values: derived from the platform file and the other nodes, overridden by those that the operator gives. */
export function nodeValues(sources: ValueSources): NodeValues {
  const derived = () => {
    if (sources.role === 'etcd') return etcdValues(sources)
    return sources.role === 'haproxy' ? haproxyValues(sources) : kubernetesValues(sources)
  }
  const { platform, role, given } = sources
  const common = { NTP_SERVERS: platform.ntp.join(' '), ROUTES: routesOf(platform, role) }
  const values = { ...derived(), ...common, ...given }
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== ''))
}

function etcdValues({ cluster, dataDisk }: ValueSources): NodeValues {
  return {
    ...(cluster && {
      ETCD_STATE: cluster.state,
      ...(cluster.state === 'new' ? { ETCD_TOKEN: cluster.token } : {}),
      ETCD_MEMBERS: memberList(cluster.members),
    }),
    ...(dataDisk ? { ETCD_DATA_DISK: DATA_LABEL } : {}),
  }
}

/** `NAME=ADDRESS …` */
export function memberList(members: readonly LedgerMember[]): string {
  return members.map(({ name, address }) => `${name}=${address}`).join(' ')
}

function haproxyValues(sources: ValueSources): NodeValues {
  const { platform, peers, leads, given, files, self } = sources
  const vips = vipsByZone(platform)
  const vrrp = vrrpPeers(platform, self.name, peers)
  const servers = (role: RoleName) => {
    const zone = platform.roles.haproxy.zones.find(
      (name) => platform.zones[name]?.range && platform.roles[role].zones.includes(name),
    )
    return memberList(
      peers.flatMap(({ name, role: has, addresses }) => {
        const address = addresses[zone ?? '']
        return has === role && address !== undefined ? [{ name, address }] : []
      }),
    )
  }
  return {
    // Without the cluster's CA the load balancer cannot recognize API servers.
    API_BACKENDS: files.includes('/etc/seeder/trust/kubernetes-ca.crt') ? servers('control-plane') : '',
    NODEPORT_BACKENDS: words(given.NODEPORTS).length > 0 ? servers('worker') : '',
    ...(vips.length > 0 && given.VIP !== ''
      ? {
          VIP: vips.map(({ zone, address }) => `${address}/${prefixOf(zoneOf(platform, zone))}`).join(' '),
          VRRP_PEERS: vrrp.length > 0 ? vrrp.join(' ') : ALONE,
          VRRP_PRIORITY: leads || vrrp.length === 0 ? '150' : '100',
        }
      : {}),
  }
}

/** The value of VRRP_PEERS for a load balancer that has no peer. */
const ALONE = 'none'

type VirtualAddress = Platform['vips'][string]

/**
 * The VIPs of the load balancers. Those in a zone with a range come first: keepalived's peers are in the network of the
 * first VIP, and the addresses of nodes are known only there.
 */
export function vipsByZone(platform: Platform): VirtualAddress[] {
  const vips = Object.values(platform.vips).filter(({ role }) => role === 'haproxy')
  const isKnown = ({ zone }: VirtualAddress) => platform.zones[zone]?.range !== undefined
  return [...vips.filter(isKnown), ...vips.filter((vip) => !isKnown(vip))]
}

/** The addresses of the other load balancers in the network of the first VIP, which keepalived uses. */
export function vrrpPeers(platform: Platform, name: string, peers: readonly PeerNode[]): string[] {
  const [first] = vipsByZone(platform)
  return peers
    .filter((peer) => peer.role === 'haproxy' && peer.name !== name)
    .flatMap(({ addresses }) => addresses[first?.zone ?? ''] ?? [])
}

function kubernetesValues({ platform, role, self, peers, given }: ValueSources): NodeValues {
  const zones = platform.roles[role].zones
  const bootstrap = given.BOOTSTRAP ?? ''
  const vip = Object.values(platform.vips).find(
    (known) => known.role === 'haproxy' && zones.includes(known.zone),
  )
  const address = zones.map((zone) => self.addresses[zone]).find((known) => known !== undefined)
  const members = peers.filter((peer) => peer.role === 'etcd')
  return {
    NODE_ROLE: role,
    NODE_ADDRESS: address ?? '',
    ...(['init', 'join'].includes(bootstrap) && vip
      ? { CONTROL_PLANE_ENDPOINT: `${vip.address}:${API_PORT}` }
      : {}),
    ...(bootstrap === 'init'
      ? { ETCD_ENDPOINTS: members.flatMap(({ addresses }) => Object.values(addresses)[0] ?? []).join(' ') }
      : {}),
  }
}
