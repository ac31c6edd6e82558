import { type FlowSource, inboundFlows } from './flows.ts'
import { closedForwardChain } from './forwarding.ts'
import { inputHead, tableText } from './nftables.ts'
import type { Platform, PortRange, RoleName } from './schema.ts'

const SSH_PORT = 22

/**
 * The nftables file for a machine of these roles whose own file cannot be loaded. It accepts only ssh, from the sources
 * that the platform file allows, and lets only the answers out. It uses few kinds of expressions and no sets, so that
 * it loads where the other file fails.
 */
export function fallbackFor(platform: Platform, roles: readonly RoleName[]): string {
  const origins = roles
    .flatMap((role) => inboundFlows(platform, role))
    .filter(({ protocols, ports = [] }) => protocols.includes('tcp') && ports.some(holdsSsh))
    .flatMap(({ sources }) => sources)
    .flatMap(originsOf)
  return tableText('For a machine whose own firewall cannot be loaded: made from the platform file.', [
    [
      'chain input {',
      ...inputHead,
      '',
      '\t# The operator, who mends it.',
      ...[...new Set(origins)].map((origin) => `\t${origin}tcp dport ${SSH_PORT} accept comment "ssh"`),
      '',
      '\tcounter comment "dropped by the policy"',
      '}',
    ],
    closedForwardChain,
    [
      'chain output {',
      '\ttype filter hook output priority filter; policy drop;',
      '',
      '\tct state { established, related } accept',
      '\toif "lo" accept comment "loopback"',
      '\ticmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, mld2-listener-report } accept',
      '',
      '\tcounter comment "dropped by the policy"',
      '}',
    ],
  ])
}

function originsOf(source: FlowSource): string[] {
  if (source.kind === 'any') return ['']
  return source.kind === 'addresses' ? source.addresses.map((addresses) => `ip saddr ${addresses} `) : []
}

function holdsSsh({ first, last }: PortRange): boolean {
  return first <= SSH_PORT && SSH_PORT <= last
}
