import { type InboundFlow, inboundFlows } from './flows.ts'
import { closedForwardChain, forwardChain, nodePortChain, passingChain, passingFlows } from './forwarding.ts'
import { roles } from './roles.ts'
import { isLiteral, isVrrp, rules, setName } from './rules.ts'
import { asRole, formatPort, type Platform, type RoleName } from './schema.ts'

/**
 * The nftables file for machines of `role`: the table `inet seeder` and no other, since kube-proxy and the pod network
 * have their own tables. Loading it replaces the table in one transaction. The text depends on the arguments only.
 */
export function nftablesFor(platform: Platform, role: RoleName): string {
  const flows = inboundFlows(platform, role)
  const passing = roles[role].runsPods ? passingFlows(platform, role) : []
  return tableText(`Firewall of the role ${role}, made from the platform file.`, [
    ...addressSets([...flows, ...passing]),
    ...([...flows, ...passing].some(isVrrp) ? [peerSet] : []),
    ...(roles[role].runsPods ? [passingChain(platform, passing), nodePortChain(platform, flows)] : []),
    inputChain(platform, flows, role),
    roles[role].runsPods ? forwardChain(platform, flows, passing) : closedForwardChain,
  ])
}

/** An nftables file that replaces the table `inet seeder` by one of these parts, in one transaction. */
export function tableText(title: string, sections: readonly (readonly string[])[]): string {
  return `#!/usr/sbin/nft -f
# ${title} It owns the table inet seeder and touches nothing else.

# Declared first so that there is something to delete on the first load, too.
table inet seeder
delete table inet seeder

table inet seeder {
${sections.map((lines) => lines.map((line) => (line === '' ? '' : `\t${line}`)).join('\n')).join('\n\n')}
}
`
}

/** The end of an nftables file, with the machines from which VRRP is accepted. */
export function vrrpPeersText(peers: readonly string[]): string {
  return peers.length > 0 ? `add element inet seeder vrrp_peers { ${peers.join(', ')} }\n` : ''
}

/** The set that the loader fills from node.env: the platform file does not know which machines are a pair. */
const peerSet = ['set vrrp_peers {', '\ttype ipv4_addr', '}']

/** The beginning of every input chain. */
export const inputHead = [
  '\ttype filter hook input priority filter; policy drop;',
  '',
  '\tct state vmap { established : accept, related : accept, invalid : drop }',
  '\tiif "lo" accept comment "loopback"',
  '',
  '\t# Nobody says here where routes lead.',
  '\ticmpv6 type { nd-router-advert, nd-redirect } counter drop comment "routes from a stranger"',
  '',
  '\t# IP does not work without these: errors, path MTU, neighbour discovery.',
  '\ticmp type { destination-unreachable, time-exceeded, parameter-problem } accept',
  '\ticmpv6 type { destination-unreachable, packet-too-big, time-exceeded, parameter-problem } accept',
  '\ticmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, mld-listener-query } accept',
  '',
  '\t# Answers to a card that gets its address so: nothing listens on any other.',
  '\tip6 saddr fe80::/10 udp sport 547 udp dport 546 accept comment "DHCPv6"',
]

function addressSets(flows: readonly InboundFlow[]): string[][] {
  const sets = new Map<string, string[]>()
  for (const [flow, source] of flows.flatMap((flow) =>
    flow.sources.map((source) => [flow, source] as const),
  )) {
    if (source.kind !== 'addresses' || isLiteral(source)) continue
    if (isVrrp(flow) && asRole(source.name)) continue
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

function inputChain(platform: Platform, flows: readonly InboundFlow[], role: RoleName): string[] {
  const lines = ['chain input {', ...inputHead]
  if (roles[role].runsPods) {
    lines.push(
      '',
      '\t# NodePorts that kube-proxy has sent on to a host-network pod here; the node_ports chain has let them pass.',
      `\tct status dnat meta l4proto { tcp, udp } ct original proto-dst ${formatPort(platform.cluster.nodePorts)} accept comment "services"`,
    )
  }
  for (const flow of flows) {
    lines.push('', `\t# ${flow.name}: ${flow.why}`)
    lines.push(...flow.sources.flatMap((source) => rules(flow, source)).map((rule) => `\t${rule}`))
  }
  lines.push('', '\tcounter comment "dropped by the policy"', '}')
  return lines
}
