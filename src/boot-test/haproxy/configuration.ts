import type { NodeValues } from '../../guest/node-env.ts'
import type { VendorFile } from '../../guest/vendor-data.ts'
import { BAD_ADDRESS } from '../first-boot.ts'
import { addressIn } from '../site.ts'
import type { PairSite } from './site.ts'

/** The NodePorts of the test; most checks use the first. */
export const nodePorts = [30080, 30443] as const
/** kube-proxy's health port, the image's default. */
export const HEALTH_PORT = 10256
/** The name in the certificates of API servers, the image's default. */
export const API_NAME = 'kubernetes'

/** The values of one of the pair. The first has the higher priority, and they are each other's peers. */
export function nodeValues(site: PairSite, index: 0 | 1): NodeValues {
  const list = (peers: PairSite['workers']) =>
    peers.map(({ name, address }) => `${name}=${address}`).join(' ')
  return {
    API_BACKENDS: list(site.apiServers),
    NODEPORTS: nodePorts.join(' '),
    NODEPORT_BACKENDS: list(site.workers),
    VIP: site.vipCidr,
    VRRP_PRIORITY: index === 0 ? '150' : '100',
    VRRP_ROUTER_ID: '51',
    VRRP_PEERS: addressIn(site.pair[index === 0 ? 1 : 0], site.edgeZone),
  }
}

/** The files of a load balancer beside node.env. */
export function balancerFiles(clusterCa: string): VendorFile[] {
  return [{ path: '/etc/seeder/trust/kubernetes-ca.crt', permissions: '0644', content: clusterCa }]
}

/** The values with an invalid address of a backend. */
export function withBadValue(values: NodeValues): NodeValues {
  return { ...values, NODEPORT_BACKENDS: `w1=${BAD_ADDRESS}` }
}
