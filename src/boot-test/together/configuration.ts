import type { NodeValues } from '../../guest/node-env.ts'
import type { Platform } from '../../platform/schema.ts'
import { prefixOf, zoneOf } from '../../platform/zones.ts'
import { SeederError } from '../../report/error.ts'
import { findApiVip } from '../kubernetes/configuration.ts'
import { addressIn, cloneAddress, type MachineSpec } from '../site.ts'

// The number of the second load balancer, which does not exist: above those of the test's machines.
const PEER_NUMBER = 9

/**
 * The VIP of the API.
 * @throws SeederError when the platform has none
 */
export function apiVip(platform: Platform): { readonly zone: string; readonly address: string } {
  const vip = findApiVip(platform)
  if (vip) return vip
  throw new SeederError('the platform file has no haproxy VIP in a zone of the control planes', {
    fix: 'see platform.yaml: vips and roles.control-plane.zones',
  })
}

/** The NodePort of the test's service. */
export const NODE_PORT = 30080

/** The values of a single load balancer with one control plane and one worker behind it, and the platform's VIPs. */
export function balancerValues(
  platform: Platform,
  balancer: MachineSpec,
  controlPlane: MachineSpec,
  worker: MachineSpec,
): NodeValues {
  const first = apiVip(platform)
  const vips = [
    first,
    ...Object.values(platform.vips).filter(
      ({ role, zone, address }) =>
        role === 'haproxy' && address !== first.address && balancer.nics.some((card) => card.zone === zone),
    ),
  ]
  return {
    API_BACKENDS: `${controlPlane.hostname}=${addressIn(controlPlane, first.zone)}`,
    NODEPORTS: String(NODE_PORT),
    NODEPORT_BACKENDS: `${worker.hostname}=${addressIn(worker, first.zone)}`,
    VIP: vips.map(({ zone, address }) => `${address}/${prefixOf(zoneOf(platform, zone))}`).join(' '),
    VRRP_PRIORITY: '150',
    VRRP_ROUTER_ID: '51',
    VRRP_PEERS: cloneAddress(platform, first.zone, 'haproxy', PEER_NUMBER),
  }
}
