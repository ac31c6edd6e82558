import type { FlowSource, InboundFlow } from './flows.ts'
import { asRole, formatPort } from './schema.ts'

/** The rules that accept a flow from one of its sources; with a destination, only packets to it. */
export function rules(
  flow: Pick<InboundFlow, 'name' | 'protocols' | 'ports'> & { destination?: string },
  source: FlowSource,
): string[] {
  // Pods and services have only IPv4 addresses.
  const matches = protocolMatches(flow, source).filter(
    (match) => flow.destination === undefined || !match.startsWith('icmpv6'),
  )
  return matches.map((match) =>
    rule([originMatch(flow, source), flow.destination ?? '', match], flow, source),
  )
}

function rule(matches: readonly string[], flow: Pick<InboundFlow, 'name'>, source: FlowSource): string {
  const comment = `comment "${flow.name} from ${source.name}"`
  return [...matches, 'accept', comment].filter((part) => part !== '').join(' ')
}

/** VRRP is accepted only from the peers among the machines of a role, on the interface that leads to them. */
function originMatch(flow: Pick<InboundFlow, 'protocols'>, source: FlowSource): string {
  if (!isVrrp(flow)) return sourceMatch(source)
  const origin = source.kind === 'addresses' && asRole(source.name) ? '' : sourceMatch(source)
  return [origin, 'ip saddr @vrrp_peers fib saddr . iif oif exists'].filter((part) => part !== '').join(' ')
}

/** Whether the flow is VRRP, which has a flow of its own. */
export function isVrrp({ protocols }: Pick<InboundFlow, 'protocols'>): boolean {
  return protocols.includes('vrrp')
}

/** The match for packets from a source. */
export function sourceMatch(source: FlowSource): string {
  if (source.kind === 'any') return ''
  if (source.kind === 'pods') {
    return `iifname ${listOf(source.interface.map((name) => `"${name}"`))} ip saddr ${source.cidr}`
  }
  return isLiteral(source) ? `ip saddr ${source.name}` : `ip saddr @${setName(source)}`
}

function protocolMatches(
  { protocols, ports = [] }: Pick<InboundFlow, 'protocols' | 'ports'>,
  source: FlowSource,
): string[] {
  const protocol = protocols[0]
  if (protocol === 'all') return ['']
  // By number, because the name needs /etc/protocols, which not every image has.
  if (protocol === 'vrrp') return ['meta l4proto 112']
  if (protocol === 'icmp') {
    return source.kind === 'any'
      ? ['icmp type echo-request', 'icmpv6 type echo-request']
      : ['icmp type echo-request']
  }
  const dports = listOf(ports.map(formatPort))
  return protocols.includes('tcp') && protocols.includes('udp')
    ? [`meta l4proto { tcp, udp } th dport ${dports}`]
    : [`${protocol} dport ${dports}`]
}

/** A single value as it is, several as a set. */
function listOf(values: readonly string[]): string {
  return values.length > 1 ? `{ ${values.join(', ')} }` : values.join('')
}

/** Whether the source is a CIDR in the flow itself, which needs no set. */
export function isLiteral(source: FlowSource): boolean {
  return source.name.includes('/')
}

/**
 * The name of a source's set: without hyphens and keywords of nftables. Names of roles and zones have no underscores.
 */
export function setName(source: FlowSource): string {
  return `from_${source.name.replaceAll('-', '_')}`
}

/** The rules for packets that were sent to a port of this machine and have been rewritten to another destination. */
export function rewrittenRules(flow: InboundFlow, source: FlowSource): string[] {
  const { protocols, ports = [] } = flow
  const sent = protocols.filter((protocol) => protocol === 'tcp' || protocol === 'udp')
  if (sent.length === 0 && protocols[0] !== 'all') return []
  const match =
    sent.length === 0
      ? ''
      : `meta l4proto ${listOf(sent)} ct original proto-dst ${listOf(ports.map(formatPort))}`
  return [rule([sourceMatch(source), 'ct status dnat', match], flow, source)]
}
