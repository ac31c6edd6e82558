import { type NodeValues, shown, type ValueProblem } from '../../guest/node-env.ts'
import { networkRange } from '../../platform/address.ts'
import {
  checkForms,
  checkNeeds,
  checkNumber,
  checkServers,
  inNetwork,
  isDnsName,
  isHostAddress,
  isPort,
  words,
} from './checks.ts'

/** The keys of a load balancer. */
export const haproxyKeys = [
  'API_BACKENDS',
  'API_VERIFY_HOST',
  'NODEPORTS',
  'NODEPORT_BACKENDS',
  'NODEPORT_CHECK',
  'VIP',
  'VRRP_PRIORITY',
  'VRRP_ROUTER_ID',
  'VRRP_PEERS',
] as const

/** What first boot of `images/haproxy` would have against these values. */
export function checkHaproxyValues(values: NodeValues): ValueProblem[] {
  return [
    ...checkServers(values, 'API_BACKENDS', true),
    ...checkNeeds(values, 'API_VERIFY_HOST', 'API_BACKENDS'),
    ...checkForms(values, 'API_VERIFY_HOST', isDnsName, 'a DNS name'),
    ...checkNodePorts(values),
    ...checkServers(values, 'NODEPORT_BACKENDS', false),
    ...checkNumber(values, 'NODEPORT_CHECK', 1, 65535),
    ...checkNeeds(values, 'NODEPORTS', 'NODEPORT_BACKENDS'),
    ...checkNeeds(values, 'NODEPORT_BACKENDS', 'NODEPORTS'),
    ...checkNeeds(values, 'NODEPORT_CHECK', 'NODEPORTS'),
    ...['VRRP_PRIORITY', 'VRRP_ROUTER_ID', 'VRRP_PEERS'].flatMap((key) => checkNeeds(values, key, 'VIP')),
    ...checkNeeds(values, 'VIP', 'VRRP_PEERS'),
    ...checkNumber(values, 'VRRP_PRIORITY', 1, 254),
    ...checkNumber(values, 'VRRP_ROUTER_ID', 1, 255),
    ...checkVips(values),
    ...checkPeers(values),
  ]
}

function checkNodePorts(values: NodeValues): ValueProblem[] {
  const holders = new Map([
    ['22', 'ssh'],
    ['6443', 'the Kubernetes API'],
    ['8405', 'the metrics'],
  ])
  return words(values.NODEPORTS).flatMap((port): ValueProblem[] => {
    const holder = holders.get(port)
    holders.set(port, 'another of them')
    if (!isPort(port)) return [{ key: 'NODEPORTS', reason: `${shown(port)} is not a port (1-65535)` }]
    return holder === undefined ? [] : [{ key: 'NODEPORTS', reason: `${port} is taken by ${holder}` }]
  })
}

/** Whether it is ADDRESS/PREFIX with a prefix that the image takes. */
function isVip(vip: string): boolean {
  const [address = '', prefix = '', ...rest] = vip.split('/')
  const length = /^[1-9][0-9]?$/.test(prefix) ? Number(prefix) : 0
  return rest.length === 0 && isHostAddress(address) && length >= 8 && length <= 30
}

function checkVips(values: NodeValues): ValueProblem[] {
  const seen = new Set<string>()
  return words(values.VIP).flatMap((vip): ValueProblem[] => {
    const [address = ''] = vip.split('/')
    const twice = seen.has(address)
    seen.add(address)
    if (!isVip(vip)) {
      const reason = `${shown(vip)} is not an IPv4 address with the prefix length of its network (8-30)`
      return [{ key: 'VIP', reason }]
    }
    const { first, last } = networkRange(vip)
    if (address === first || address === last) {
      return [{ key: 'VIP', reason: `${vip} is the network's own or its broadcast address` }]
    }
    return twice ? [{ key: 'VIP', reason: `has ${address} twice` }] : []
  })
}

function checkPeers(values: NodeValues): ValueProblem[] {
  const [vip = ''] = words(values.VIP)
  return words(values.VRRP_PEERS).flatMap((peer): ValueProblem[] => {
    if (!isHostAddress(peer)) return [{ key: 'VRRP_PEERS', reason: `${shown(peer)} is not an IPv4 address` }]
    if (!isVip(vip) || inNetwork(peer, vip)) return []
    return [{ key: 'VRRP_PEERS', reason: `${peer} is not in the network of the (first) VIP, ${vip}` }]
  })
}
