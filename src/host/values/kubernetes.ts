import { type NodeValues, shown, type ValueProblem } from '../../guest/node-env.ts'
import { checkChoice, checkForms, isDnsName, isHostAddress, isPort, isRange, isSet, words } from './checks.ts'

/** The keys of a Kubernetes node. */
export const kubernetesKeys = [
  'NODE_ROLE',
  'BOOTSTRAP',
  'CONTROL_PLANE_ENDPOINT',
  'NODE_ADDRESS',
  'ETCD_ENDPOINTS',
  'JOIN_TOKEN',
  'JOIN_CA_HASH',
  'CERTIFICATE_KEY',
  'KUBE_PROXY_MODE',
  'POD_CIDR',
  'SERVICE_CIDR',
  'CLUSTER_NAME',
] as const

/** What first boot of `images/kubernetes-node` would have against these values, on a node that is new. */
export function checkKubernetesValues(values: NodeValues): ValueProblem[] {
  const problems = [
    ...checkChoice(values, 'KUBE_PROXY_MODE', ['iptables', 'nftables']),
    ...checkForms(values, 'NODE_ADDRESS', isHostAddress, 'an IPv4 address'),
    ...checkForms(
      values,
      'CONTROL_PLANE_ENDPOINT',
      isEndpoint,
      'a DNS name or an IPv4 address with a port, NAME:PORT',
    ),
    ...checkForms(
      values,
      'CLUSTER_NAME',
      (value) => /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(value),
      'a name of lower-case letters, digits and dashes',
    ),
    ...checkForms(
      values,
      'JOIN_CA_HASH',
      (value) => /^sha256:[0-9a-f]{64}$/.test(value),
      'sha256: and 64 hexadecimal digits',
    ),
    ...checkForms(
      values,
      'JOIN_TOKEN',
      (value) => /^[a-z0-9]{6}\.[a-z0-9]{16}$/.test(value),
      'a bootstrap token: 6 characters, a dot, 16 characters, of a-z and 0-9',
      true,
    ),
    ...checkForms(
      values,
      'CERTIFICATE_KEY',
      (value) => /^[0-9a-f]{64}$/.test(value),
      '64 hexadecimal digits',
      true,
    ),
    ...checkNetwork(values, 'POD_CIDR', 8, 24),
    ...checkNetwork(values, 'SERVICE_CIDR', 12, 28),
    ...checkEndpoints(values),
  ]
  const bootstrap = checkChoice(values, 'BOOTSTRAP', ['init', 'join', 'none'])
  return [...problems, ...(bootstrap.length > 0 ? bootstrap : checkBootstrap(values))]
}

function isEndpoint(value: string): boolean {
  const colon = value.lastIndexOf(':')
  const host = value.slice(0, Math.max(colon, 0))
  return isPort(value.slice(colon + 1)) && (isHostAddress(host) || (isDnsName(host) && !/[A-Z]/.test(host)))
}

function checkNetwork(values: NodeValues, key: string, shortest: number, longest: number): ValueProblem[] {
  return checkForms(
    values,
    key,
    (value) => isRange(value, shortest, longest),
    `an IPv4 network with a prefix length from ${shortest} to ${longest}, as in 10.32.0.0/12`,
  )
}

function checkEndpoints(values: NodeValues): ValueProblem[] {
  const key = 'ETCD_ENDPOINTS'
  const all = words(values[key])
  return all.flatMap((endpoint, index): ValueProblem[] => {
    if (!isHostAddress(endpoint)) return [{ key, reason: `${shown(endpoint)} is not an IPv4 address` }]
    return all.indexOf(endpoint) < index ? [{ key, reason: `has ${endpoint} twice` }] : []
  })
}

/** What is missing, and what must not be there. */
function checkBootstrap(values: NodeValues): ValueProblem[] {
  const role = values.NODE_ROLE
  const bootstrap = values.BOOTSTRAP || 'none'
  if (bootstrap === 'init' && role === 'worker') {
    const reason = 'is init, but NODE_ROLE is worker; a cluster begins with a control plane'
    return [{ key: 'BOOTSTRAP', reason }]
  }
  const unused = (key: string, why: string): ValueProblem[] =>
    isSet(values, key) ? [{ key, reason: `is set, but ${why}` }] : []
  if (bootstrap === 'none') {
    return ['JOIN_TOKEN', 'JOIN_CA_HASH', 'CERTIFICATE_KEY'].flatMap((key) =>
      unused(key, 'BOOTSTRAP is none'),
    )
  }
  const needed =
    bootstrap === 'init'
      ? ['CONTROL_PLANE_ENDPOINT', 'ETCD_ENDPOINTS']
      : [
          'CONTROL_PLANE_ENDPOINT',
          'JOIN_TOKEN',
          'JOIN_CA_HASH',
          ...(role === 'control-plane' ? ['CERTIFICATE_KEY'] : []),
        ]
  const missing = needed.filter((key) => !isSet(values, key))
  return [
    ...missing.map((key) => ({ key, reason: `is not set; a ${role} with BOOTSTRAP=${bootstrap} needs it` })),
    ...(role === 'worker'
      ? unused('CERTIFICATE_KEY', 'a worker must not have it: it opens the keys of the cluster')
      : []),
  ]
}
