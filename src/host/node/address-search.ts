import { z } from 'zod'
import { anyJson } from '../../files/json.ts'
import type { Platform, RoleName, Zone } from '../../platform/schema.ts'
import { roleRange, zoneOf } from '../../platform/zones.ts'
import type { Host } from '../commands.ts'

/** An interface of this host, as `ip -json -details link show` describes it. */
const linkSchema = z.object({
  ifname: z.string(),
  flags: z.array(z.string()).default([]),
  /** The interface that a VLAN interface is on. */
  link: z.string().optional(),
  /** The bridge that it is a port of. */
  master: z.string().optional(),
  linkinfo: z
    .object({
      info_kind: z.string().optional(),
      info_data: z.record(z.string(), z.unknown()).default({}),
    })
    .optional(),
})
export type HostLink = z.output<typeof linkSchema>

/** The neighbours of an interface, as `ip -json neighbour show` lists them. */
const neighboursSchema = z.array(z.object({ state: z.array(z.string()).default([]) }))

/**
 * The interface by which this host reaches the machines of a zone. For a zone with a tag that is a VLAN interface on its
 * bridge, or the bridge that Proxmox VE makes for a tag where the bridge is not VLAN-aware. Undefined when there is none.
 */
export function interfaceInto(
  { bridge, vlan }: Pick<Zone, 'bridge' | 'vlan'>,
  links: readonly HostLink[],
): string | undefined {
  if (vlan === undefined) return bridge
  const up = links.filter(({ flags }) => flags.includes('UP'))
  const data = (link: HostLink | undefined) => link?.linkinfo?.info_data ?? {}
  const itself = data(up.find(({ ifname }) => ifname === bridge))
  if (itself.vlan_filtering === 1 && itself.vlan_default_pvid === vlan) return bridge
  const own = up.find(
    (link) => link.link === bridge && link.linkinfo?.info_kind === 'vlan' && data(link).id === vlan,
  )
  if (own) return own.master ?? own.ifname
  return up.find(({ ifname }) => ifname === `${bridge}v${vlan}`)?.ifname
}

/** How the addresses of a role's zones are searched for other machines. */
export interface SearchWays {
  /** The interface by zone name. */
  readonly interfaces: ReadonlyMap<string, string>
  /** A line for each zone in which this host reaches no machine. */
  readonly unsearched: readonly string[]
}

/** Finds the interfaces into the zones where a role's nodes get their addresses from a range. */
export async function searchWays(host: Host, platform: Platform, role: RoleName): Promise<SearchWays> {
  const names = platform.roles[role].zones.filter((name) => roleRange(platform, role, name) !== undefined)
  const hasTags = names.some((name) => zoneOf(platform, name).vlan !== undefined)
  const links = hasTags ? await readLinks(host) : []
  const interfaces = new Map<string, string>()
  const unsearched: string[] = []
  for (const name of names) {
    const zone = zoneOf(platform, name)
    const into = interfaceInto(zone, links)
    if (into === undefined) unsearched.push(unsearchedText(name, zone))
    else interfaces.set(name, into)
  }
  return { interfaces, unsearched }
}

function unsearchedText(name: string, { bridge, vlan }: Zone): string {
  const why = `this host has no interface in VLAN ${vlan} of ${bridge}`
  const fix = `give it one (${bridge}.${vlan}, which needs no address), or keep other machines out of the zone's range`
  return `zone ${name}: it was not checked that no other machine has the addresses, as ${why}; ${fix}`
}

async function readLinks(host: Host): Promise<HostLink[]> {
  const { stdout } = await host.run(['ip', '-json', '-details', 'link', 'show'])
  return z.array(linkSchema).safeParse(anyJson(stdout)).data ?? []
}

/**
 * The addresses that a machine outside of this cluster has. The host sends its requests on the interface, where it needs
 * no address of its own: an answer to ARP is enough. A machine that does not answer within a second is missed.
 */
export async function answeringAddresses(
  host: Host,
  places: readonly { readonly interface: string; readonly address: string }[],
): Promise<string[]> {
  const answered = await Promise.all(
    places.map(async ({ interface: name, address }) => {
      // A remembered neighbour would be used without another request, although it may be gone.
      await host.run(['ip', 'neighbour', 'flush', 'to', address, 'dev', name])
      const { code } = await host.run(['ping', '-n', '-q', '-c', '1', '-W', '1', '-I', name, address])
      return code === 0 || (await isReachable(host, name, address))
    }),
  )
  return places.filter((_, index) => answered[index]).map(({ address }) => address)
}

async function isReachable(host: Host, name: string, address: string): Promise<boolean> {
  const { stdout } = await host.run(['ip', '-json', 'neighbour', 'show', 'to', address, 'dev', name])
  const found = neighboursSchema.safeParse(anyJson(stdout)).data ?? []
  // A remembered neighbour that has left is in another state.
  return found.some(({ state }) => state.includes('REACHABLE') || state.includes('PERMANENT'))
}
