import { type InboundFlow, inboundFlows, type Source } from './flows.ts'
import { formatPort, kubernetesRoles, type Platform, type PortRange, type RoleName } from './schema.ts'

/**
 * The nftables file for machines of `role`: the table `inet seeder` and no other, since kube-proxy and the pod network
 * keep theirs beside it. Loading it replaces the table in one transaction. The text depends on its arguments only.
 */
export function nftablesFor(platform: Platform, role: RoleName): string {
  const flows = inboundFlows(platform, role)
  const sections = [
    ...addressSets(flows),
    ...(kubernetesRoles.includes(role) ? [nodePortChain(platform, flows)] : []),
    inputChain(flows, role),
  ]
  return `#!/usr/sbin/nft -f
# Firewall of the role ${role}, made from the platform file. It owns the table inet seeder and touches nothing else.

# Declared first so that there is something to delete on the first load, too.
table inet seeder
delete table inet seeder

table inet seeder {
${sections.map((lines) => lines.map((line) => (line === '' ? '' : `\t${line}`)).join('\n')).join('\n\n')}
}
`
}

function addressSets(flows: readonly InboundFlow[]): string[][] {
  const sets = new Map<string, string[]>()
  for (const source of flows.flatMap((flow) => flow.sources)) {
    if (source.kind !== 'addresses' || isLiteral(source)) continue
    sets.set(source.name, [
      `set ${setName(source)} {`,
      '\ttype ipv4_addr',
      '\tflags interval',
      `\telements = { ${source.addresses.join(', ')} }`,
      '}',
    ])
  }
  return [...sets.values()]
}

function inputChain(flows: readonly InboundFlow[], role: RoleName): string[] {
  const lines = [
    'chain input {',
    '\ttype filter hook input priority filter; policy drop;',
    '',
    '\tct state vmap { established : accept, related : accept, invalid : drop }',
    '\tiif "lo" accept comment "loopback"',
    '',
    '\t# IP does not work without these: errors, path MTU, neighbour discovery.',
    '\ticmp type { destination-unreachable, time-exceeded, parameter-problem } accept',
    '\ticmpv6 type { destination-unreachable, packet-too-big, time-exceeded, parameter-problem } accept',
    '\ticmpv6 type { nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert, mld-listener-query } accept',
  ]
  if (kubernetesRoles.includes(role)) {
    lines.push(
      '',
      '\t# Services that kube-proxy has sent on to a host-network pod here; the node_ports chain has let them pass.',
      '\tct status dnat accept comment "services"',
    )
  }
  for (const flow of flows) {
    lines.push('', `\t# ${flow.name}: ${flow.why}`)
    lines.push(...flow.sources.flatMap((source) => rules(flow, source)).map((rule) => `\t${rule}`))
  }
  lines.push('', '\tcounter comment "dropped by the policy"', '}')
  return lines
}

/**
 * kube-proxy rewrites the destination of a NodePort before any input chain sees the packet, so who may use one is
 * decided ahead of it. Only packets to this machine's own addresses: pod traffic that passes through is not touched.
 */
function nodePortChain(platform: Platform, flows: readonly InboundFlow[]): string[] {
  const { nodePorts } = platform.cluster
  const lines = [
    'chain node_ports {',
    '\ttype filter hook prerouting priority dstnat - 10; policy accept;',
    '',
    '\tct state established,related accept',
    '\tiif "lo" accept comment "loopback"',
    '\tfib daddr type != local accept comment "not for this machine"',
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

function rules(flow: Pick<InboundFlow, 'name' | 'protocols' | 'ports'>, source: Source): string[] {
  const origin = sourceMatch(source)
  return protocolMatches(flow, source).map((match) =>
    [origin, match, 'accept', `comment "${flow.name} from ${source.name}"`]
      .filter((part) => part !== '')
      .join(' '),
  )
}

function sourceMatch(source: Source): string {
  if (source.kind === 'any') return ''
  if (source.kind === 'pods') return `iifname "${source.interface}" ip saddr ${source.cidr}`
  return isLiteral(source) ? `ip saddr ${source.name}` : `ip saddr @${setName(source)}`
}

function protocolMatches(
  { protocols, ports = [] }: Pick<InboundFlow, 'protocols' | 'ports'>,
  source: Source,
): string[] {
  const protocol = protocols[0]
  if (protocol === 'all') return ['']
  // By number: the name needs /etc/protocols, which is not on every image.
  if (protocol === 'vrrp') return ['meta l4proto 112']
  if (protocol === 'icmp') {
    return source.kind === 'any'
      ? ['icmp type echo-request', 'icmpv6 type echo-request']
      : ['icmp type echo-request']
  }
  const list = ports.map(formatPort)
  const dports = list.length > 1 ? `{ ${list.join(', ')} }` : list.join('')
  return protocols.includes('tcp') && protocols.includes('udp')
    ? [`meta l4proto { tcp, udp } th dport ${dports}`]
    : [`${protocol} dport ${dports}`]
}

/** A CIDR that stands in the flow itself; it needs no set. */
function isLiteral(source: Source): boolean {
  return source.name.includes('/')
}

/** Set names allow no hyphens and no word of nftables; role and zone names have no underscores, so no two of them meet. */
function setName(source: Source): string {
  return `from_${source.name.replaceAll('-', '_')}`
}

function within(inner: PortRange, outer: PortRange): boolean {
  return inner.first >= outer.first && inner.last <= outer.last
}
