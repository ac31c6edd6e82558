import type { Platform } from '../platform/schema.ts'
import { type MachineSpec, outerCard, probeIn, type Site } from './site.ts'
import type { PlacedClone } from './test-bed.ts'

/** A platform and the site that is laid out from it. */
export interface PlatformSite {
  readonly platform: Platform
  readonly site: Site
}

/** A route to a network by way of this process. */
export interface ReturnRoute {
  /** In CIDR form. */
  readonly network: string
  readonly via: string
}

/**
 * The routes by which a machine without a default route can answer this process in the zones where it has no card, and at a
 * pod's address. None for a machine with a default route, whose router is this process.
 */
export function returnRoutes({ platform, site }: PlatformSite, machine: MachineSpec): ReturnRoute[] {
  if (machine.defaultCard) return []
  const via = probeIn(site, outerCard(machine).zone)
  const others = Object.entries(platform.zones).filter(
    ([name]) => !machine.nics.some(({ zone }) => zone === name),
  )
  return [...others.map(([, { cidr }]) => cidr), `${site.podAddress}/32`].map((network) => ({ network, via }))
}

/**
 * Runs a check of a clone that sends packets from zones where the clone has no card.
 *
 * Where the plan gives a machine no default route, its answers to those zones go nowhere: every port would seem to be
 * closed, whatever the firewall lets in. But the firewall has to be right also at a site where somebody adds a router. So
 * for the time of the check, and not longer, the clone has the routes that such a router would need. Everything else
 * happens with exactly the plan's routes.
 */
export async function withReturnRoutes<T>(
  site: PlatformSite,
  { clone, machine }: PlacedClone,
  work: () => Promise<T>,
): Promise<T> {
  const routes = returnRoutes(site, machine)
  if (routes.length === 0) return work()
  const change = (verb: 'add' | 'del') =>
    clone.agent.shell(routes.map(({ network, via }) => `ip route ${verb} ${network} via ${via}`).join('\n'))
  await change('add')
  try {
    return await work()
  } finally {
    await change('del')
  }
}
