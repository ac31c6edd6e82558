import { type InboundFlow, inboundFlows } from './flows.ts'
import { rewrittenRules, rules, sourceMatch } from './rules.ts'
import { formatPort, type Platform, type PortRange, type RoleName } from './schema.ts'

/** A flow to pods or to services, with the destination of its packets. */
export interface PassingFlow extends InboundFlow {
  into: 'pods' | 'services'
  destination: string
}

/** The enabled flows to pods and services that a machine of `role` has to forward. */
export function passingFlows(platform: Platform, role: RoleName): PassingFlow[] {
  return (['pods', 'services'] as const).flatMap((to) =>
    inboundFlows(platform, role, to).map((flow) => ({
      ...flow,
      into: to,
      destination: `ip daddr ${platform.cluster[to].cidr}`,
    })),
  )
}

/** The chain of roles without pods, which forward nothing. */
export const closedForwardChain = [
  'chain forward {',
  '\ttype filter hook forward priority filter; policy drop;',
  '',
  '\tcounter comment "this machine forwards for nobody"',
  '}',
]

/** The rule for packets from pods, in every chain of a node. */
function podRule({ cluster: { pods } }: Platform): string {
  const origin = sourceMatch({ kind: 'pods', name: 'pods', ...pods })
  return `\t${origin} accept comment "pods reach what they want"`
}

/**
 * The chain for packets to other machines, on arrival: kube-proxy has not rewritten them yet, so that addresses of
 * services and of pods still differ. A node routes for its pods and for nobody else, unless a flow says so.
 */
export function passingChain(platform: Platform, passing: readonly PassingFlow[]): string[] {
  const lines = ['chain passing {', podRule(platform)]
  for (const flow of passing) {
    lines.push('', `\t# ${flow.name}: ${flow.why}`)
    lines.push(...flow.sources.flatMap((source) => rules(flow, source)).map((rule) => `\t${rule}`))
  }
  lines.push('', '\tcounter drop comment "this machine forwards for nobody else"', '}')
  return lines
}

/**
 * The chain for forwarded packets. They have passed the chains on arrival; packets to a port of this machine that was
 * rewritten to a pod (a NodePort, a host port) are matched here by their original port.
 */
export function forwardChain(
  platform: Platform,
  flows: readonly InboundFlow[],
  passing: readonly PassingFlow[],
): string[] {
  const lines = [
    'chain forward {',
    '\ttype filter hook forward priority filter; policy drop;',
    '',
    '\tct state vmap { established : accept, related : accept, invalid : drop }',
    podRule(platform),
  ]
  for (const flow of flows) {
    const sources = flow.sources.filter(({ kind }) => kind !== 'pods')
    const sent = sources.flatMap((source) => rewrittenRules(flow, source))
    if (sent.length > 0) lines.push('', `\t# ${flow.name}: ${flow.why}`, ...sent.map((rule) => `\t${rule}`))
  }
  const services = `ct status dnat ct original ip daddr ${platform.cluster.services.cidr}`
  if (passing.some(({ into }) => into === 'services')) {
    lines.push('', `\t${services} accept comment "services, which the chain passing has let in"`)
  }
  for (const flow of passing.filter(({ into }) => into === 'pods')) {
    lines.push('', `\t# ${flow.name}: ${flow.why}`)
    lines.push(...flow.sources.flatMap((source) => rules(flow, source)).map((rule) => `\t${rule}`))
  }
  lines.push('', '\tcounter comment "dropped by the policy"', '}')
  return lines
}

/**
 * The chain for NodePorts. kube-proxy rewrites the destination before any input chain sees the packet, so this chain
 * comes before kube-proxy's. Packets to other addresses than this machine's go to the chain `passing`.
 */
export function nodePortChain(platform: Platform, flows: readonly InboundFlow[]): string[] {
  const { nodePorts } = platform.cluster
  const lines = [
    'chain node_ports {',
    '\ttype filter hook prerouting priority dstnat - 10; policy accept;',
    '',
    '\tct state established,related accept',
    '\tiif "lo" accept comment "loopback"',
    '\tfib daddr type { broadcast, multicast } accept',
    '\tfib daddr type != local goto passing',
  ]
  for (const flow of flows) {
    const ports = flow.ports?.filter((port) => within(port, nodePorts)) ?? []
    if (ports.length === 0) continue
    lines.push('', `\t# ${flow.name}: ${flow.why}`)
    lines.push(
      ...flow.sources.flatMap((source) => rules({ ...flow, ports }, source)).map((rule) => `\t${rule}`),
    )
  }
  lines.push(
    '',
    `\tmeta l4proto { tcp, udp } th dport ${formatPort(nodePorts)} counter drop comment "NodePort from anywhere else"`,
    '}',
  )
  return lines
}

function within(inner: PortRange, outer: PortRange): boolean {
  return inner.first >= outer.first && inner.last <= outer.last
}
