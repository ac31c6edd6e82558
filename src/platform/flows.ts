import { formatRange } from './address.ts'
import { asRole, type Flow, formatPort, type Platform, type RoleName } from './schema.ts'
import { roleRange } from './zones.ts'

/** Where a flow comes from, as a machine that receives it can tell. */
export type FlowSource =
  | { kind: 'any'; name: string }
  /** Packets from these CIDRs or ranges (`10.0.0.1-10.0.0.50`), which do not overlap. */
  | { kind: 'addresses'; name: string; addresses: string[] }
  /** Packets from pods: through one of their interfaces and with a pod's address. */
  | { kind: 'pods'; name: string; interface: string[]; cidr: string }

/** An enabled flow as the role it goes to has to let it in. */
export interface InboundFlow extends Flow {
  name: string
  sources: FlowSource[]
}

/**
 * The enabled flows to `role`, in the order of the platform file; with `to`, those to `pods` or `services`, as a machine
 * of `role` has to let them through.
 */
export function inboundFlows(
  platform: Platform,
  role: RoleName,
  to: RoleName | 'pods' | 'services' = role,
): InboundFlow[] {
  return Object.entries(platform.flows)
    .filter(([, flow]) => flow.enabled && flow.to.includes(to))
    .map(([name, flow]) => ({
      name,
      ...flow,
      sources: flow.from.map((word) => sourceOf(platform, word, role)),
    }))
}

/** The ports that machines of these roles let somebody in to, by role, as `tcp/6443`, each once. */
export function openPorts(platform: Platform, roles: readonly string[]): Record<string, string[]> {
  return Object.fromEntries(
    roles.flatMap((name) => {
      const role = asRole(name)
      if (!role) return []
      const ports = inboundFlows(platform, role).flatMap(({ protocols, ports = [] }) =>
        protocols.flatMap((protocol) =>
          ports.length === 0 ? [protocol] : ports.map((port) => `${protocol}/${formatPort(port)}`),
        ),
      )
      return [[role, [...new Set(ports)]]]
    }),
  )
}

/** What the word `from` means to a machine of role `to`. */
export function sourceOf(platform: Platform, from: string, to: RoleName | undefined): FlowSource {
  if (from === 'any') return { kind: 'any', name: from }
  if (from === 'pods') return { kind: 'pods', name: from, ...platform.cluster.pods }
  const role = asRole(from)
  if (role) return { kind: 'addresses', name: from, addresses: roleAddresses(platform, role, to) }
  return { kind: 'addresses', name: from, addresses: [platform.zones[from]?.cidr ?? from] }
}

/**
 * Addresses that machines of role `from` may have when they speak to `to`: their ranges in the zones that both stand in,
 * since there nothing routes; in all zones of `from` when they share none.
 */
function roleAddresses(platform: Platform, from: RoleName, to: RoleName | undefined): string[] {
  const own = platform.roles[from].zones
  const shared = to ? own.filter((zone) => platform.roles[to].zones.includes(zone)) : []
  const rangesOf = (zones: readonly string[]) =>
    zones.flatMap((zone) => roleRange(platform, from, zone) ?? []).map(formatRange)
  const direct = rangesOf(shared)
  return direct.length > 0 ? direct : rangesOf(own)
}

/** A source's addresses as text: ranges, the pod network, or `any`. */
export function sourceAddresses(source: FlowSource): string {
  if (source.kind === 'any') return 'any'
  return source.kind === 'pods'
    ? `${source.cidr} on ${source.interface.join(', ')}`
    : source.addresses.join(', ')
}
