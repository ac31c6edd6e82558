import { parseCidr } from 'cidr-tools'
import { dottedAddress } from '../../platform/address.ts'
import type { PlacedClone } from '../test-bed.ts'

/** A node's clone and the range of its pods. */
export interface PodRange {
  readonly node: PlacedClone
  /** The node's address in the cluster. */
  readonly address: string
  /** Its `spec.podCIDR`. */
  readonly cidr: string
}

// A flow of platform.yaml permits it between nodes, for the network add-on.
const VXLAN_PORT = 6784
// 50 bytes less than a card's: a frame in VXLAN.
const MTU = 1450

/**
 * The configuration of CNI's own plugins for the pods of a node, on one network of all pods.
 * @param cidr of all pods
 * @param range of the node's
 */
function bridgeConfiguration(bridge: string, cidr: string, range: string): string {
  const { start, end } = parseCidr(range)
  const ranges = [
    {
      subnet: cidr,
      rangeStart: dottedAddress(start + 2n),
      rangeEnd: dottedAddress(end - 1n),
      gateway: dottedAddress(start + 1n),
    },
  ]
  const ipam = { type: 'host-local', ranges: [ranges] }
  const plugins = [
    { type: 'bridge', bridge, mtu: MTU, isDefaultGateway: true, hairpinMode: true, ipam },
    { type: 'portmap', capabilities: { portMappings: true } },
  ]
  return `${JSON.stringify({ cniVersion: '1.0.0', name: 'test', plugins }, null, 1)}\n`
}

/** Gives each node a bridge for its pods, connected by VXLAN with those of the other nodes, as network add-ons do. */
export async function connectPods(ranges: readonly PodRange[], bridge: string, cidr: string): Promise<void> {
  for (const { node, address, cidr: own } of ranges) {
    const { agent } = node.clone
    const others = ranges.filter((range) => range.node !== node).map((range) => range.address)
    const script = `
      bridge=$1 address=$2; shift 2
      ip link show "$bridge" >/dev/null 2>&1 || ip link add "$bridge" type bridge
      ip link show seeder-test >/dev/null 2>&1 ||
        ip link add seeder-test type vxlan id 7 dstport ${VXLAN_PORT} local "$address"
      for other; do bridge fdb append 00:00:00:00:00:00 dev seeder-test dst "$other"; done
      ip link set seeder-test mtu ${MTU} master "$bridge" up
      ip link set "$bridge" up
      cat >/etc/cni/net.d/10-test.conflist.new
      mv /etc/cni/net.d/10-test.conflist.new /etc/cni/net.d/10-test.conflist`
    await agent.output(
      ['/bin/bash', '-euc', script, 'connect', bridge, address, ...others],
      bridgeConfiguration(bridge, cidr, own),
    )
  }
}
