import { type DriveFiles, driveFiles } from '../cloudinit.ts'
import { addressIn, type Seat, type Site } from './site.ts'

/** The NodePorts of the proof; the first carries the traffic that is looked at. */
export const nodePorts = [30080, 30443] as const
/** kube-proxy's health port, the image's default. */
export const healthPort = 10256
export const apiPort = 6443
/** The name API servers' certificates carry, the image's default. */
export const apiName = 'kubernetes'
/** An address no check may accept. */
export const badAddress = '10.0.0.700'

/** What an operator has in hand when a load balancer is cloned. */
export interface Operator {
  readonly user: string
  /** Public key, one line. */
  readonly sshKey: string
  /** The cluster's CA certificate (PEM). */
  readonly clusterCa: string
  readonly nameservers: readonly string[]
}

/** The role's values in `/etc/seeder/node.env`. */
export type NodeValues = Readonly<Record<string, string>>

/** The values of one of the pair: the first has the higher priority, and they name each other as peers. */
export function nodeValues(site: Site, index: 0 | 1): NodeValues {
  const list = (peers: Site['workers']) => peers.map(({ name, address }) => `${name}=${address}`).join(' ')
  return {
    API_BACKENDS: list(site.apiServers),
    NODEPORTS: nodePorts.join(' '),
    NODEPORT_BACKENDS: list(site.workers),
    VIP: site.vipCidr,
    VRRP_PRIORITY: index === 0 ? '150' : '100',
    VRRP_ROUTER_ID: '51',
    VRRP_PEERS: addressIn(site.seats[index === 0 ? 1 : 0], site.edgeZone),
  }
}

/** The values with a backend's address no check may accept. */
export function withBadValue(values: NodeValues): NodeValues {
  return { ...values, NODEPORT_BACKENDS: `w1=${badAddress}` }
}

/** A load balancer's cloud-init drive. */
export function loadBalancerDrive(seat: Seat, values: NodeValues, operator: Operator): DriveFiles {
  const lines = Object.entries(values).map(([key, value]) => `${key}="${value}"\n`)
  return driveFiles({
    hostname: seat.hostname,
    user: operator.user,
    sshKeys: [operator.sshKey],
    nics: seat.nics,
    nameservers: operator.nameservers,
    searchDomain: 'example.internal',
    files: [
      { path: '/etc/seeder/node.env', permissions: '0640', content: lines.join('') },
      { path: '/etc/seeder/trust/kubernetes-ca.crt', permissions: '0644', content: operator.clusterCa },
    ],
  })
}
