import { formatRange } from './address.ts'
import { asRole, type Flow, formatPort, type Platform, type RoleName } from './schema.ts'
import { roleRange } from './zones.ts'

/** The source of a flow, as the receiving machine can recognize it. */
export type FlowSource =
  | { kind: 'any'; name: string }
  /** Packets from these CIDRs or ranges (`10.0.0.1-10.0.0.50`), which do not overlap. */
  | { kind: 'addresses'; name: string; addresses: string[] }
  /** Packets from pods: through one of their interfaces and with a pod's address. */
  | { kind: 'pods'; name: string; interface: string[]; cidr: string }

/** An enabled flow that a role has to accept. */
export interface InboundFlow extends Flow {
  name: string
  sources: FlowSource[]
}

/**
 * The enabled flows to `role`, in the order of the platform file; with `to`, those to `pods` or `services`, which a
 * machine of `role` has to forward.
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

/** The open ports of machines of these roles, by role, as in `tcp/6443`, each once. */
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

/** The source that the word `from` means to a machine of role `to`. */
export function sourceOf(platform: Platform, from: string, to: RoleName | undefined): FlowSource {
  if (from === 'any') return { kind: 'any', name: from }
  if (from === 'pods') return { kind: 'pods', name: from, ...platform.cluster.pods }
  const role = asRole(from)
  if (role) return { kind: 'addresses', name: from, addresses: roleAddresses(platform, role, to) }
  return { kind: 'addresses', name: from, addresses: [platform.zones[from]?.cidr ?? from] }
}

/**
 * The addresses from which machines of role `from` may reach `to`: their ranges in the zones that both are in, since no
 * router is between them; in all zones of `from` when they share no zone.
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
