import { z } from 'zod'
import { parseJson } from '../files/json.ts'
import { freeRanges } from '../platform/address.ts'
import type { Platform } from '../platform/schema.ts'
import type { GuestAgent } from '../vm/agent.ts'
import { type CheckPlan, expect, type Recorder } from './checks.ts'
import type { Card, MachineSpec } from './site.ts'
import type { PlacedClone } from './test-bed.ts'

/** What every image has to fulfil with the routes of the plan. */
export const routeChecks = [
  {
    name: 'routes',
    group: 'image',
    title: 'the default route is the plan’s, and replies leave by the card of the request',
  },
] as const satisfies readonly CheckPlan[]

/** For Kubernetes nodes. */
export const serviceRouteChecks = [
  { name: 'service-route', group: 'role', title: 'an address of a service has a route' },
] as const satisfies readonly CheckPlan[]

// In no zone: a network for documentation (RFC 5737).
const FAR_ADDRESS = '203.0.113.9'

const listing = z.array(z.object({ gateway: z.string().optional(), dev: z.string().optional() }))
type Route = z.output<typeof listing>[number]

/** Compares the routes of clones with the plan's. */
export async function checkRoutes(
  checks: Recorder<'routes'>,
  nodes: readonly PlacedClone[],
): Promise<boolean> {
  return await checks.run('routes', async () => {
    const found: string[] = []
    for (const { clone, machine } of nodes) found.push(await compareRoutes(clone.agent, machine))
    return found.join('; ')
  })
}

async function compareRoutes(agent: GuestAgent, machine: MachineSpec): Promise<string> {
  const text = compareDefaultRoute(machine, await agent.shell('ip -json -4 route show default'))
  const replies: string[] = []
  for (const card of machine.nics.filter(({ router }) => router !== undefined)) {
    const answer = await agent.shell(`ip -json -4 route get ${FAR_ADDRESS} from ${card.ip}`)
    replies.push(compareReply(machine, card, answer))
  }
  return [text, ...replies].join(', ')
}

/**
 * Compares the default routes of a machine, in the JSON of `ip route show default`, with the one that the plan gives it, or
 * none.
 * @throws SeederError when there are others
 */
export function compareDefaultRoute(machine: MachineSpec, json: string): string {
  const { hostname, defaultCard } = machine
  const found = parseJson(json, listing).map(describeRoute)
  const wanted = defaultCard ? [plannedRoute(machine, defaultCard)] : []
  const list = (routes: readonly string[]) => routes.join(' and ') || 'none'
  expect(
    list(found) === list(wanted),
    `the default route of ${hostname} is ${list(found)}; by the plan ${list(wanted)}`,
  )
  return `default route of ${hostname}: ${list(found)}`
}

/**
 * Compares the way of a reply from a card with a router, in the JSON of `ip route get`, with the plan.
 * @throws SeederError when it leaves by another card or router
 */
export function compareReply(machine: MachineSpec, card: Card, json: string): string {
  const found = parseJson(json, listing).map(describeRoute).join(' and ')
  const wanted = plannedRoute(machine, card)
  expect(
    found === wanted,
    `a reply of ${machine.hostname} from ${card.ip} leaves ${found}; its request came ${wanted}`,
  )
  return `replies from ${card.ip} ${found}`
}

/** The route by way of a card's router. Cards have the order of the role's zones. */
function plannedRoute({ nics }: MachineSpec, card: Card): string {
  return describeRoute({ gateway: card.router, dev: `eth${nics.indexOf(card)}` })
}

function describeRoute({ gateway, dev }: Route): string {
  return gateway === undefined ? `on ${dev}` : `by ${gateway} on ${dev}`
}

/** Checks that the kernel of Kubernetes nodes has a way to a service: without one it refuses before kube-proxy's rules. */
export async function checkServiceRoute(
  checks: Recorder<'service-route'>,
  platform: Platform,
  nodes: readonly PlacedClone[],
): Promise<boolean> {
  return await checks.run('service-route', async () => {
    // The first one is that of the API, which every cluster has.
    const address = freeRanges(platform.cluster.services.cidr, [])[0]?.first ?? ''
    const found: string[] = []
    for (const { clone, machine } of nodes) {
      const routes = parseJson(await clone.agent.shell(`ip -json -4 route get ${address}`), listing)
      found.push(`${routes.map(describeRoute).join(' and ')} of ${machine.hostname}`)
    }
    return `${address} ${found.join(', ')}`
  })
}
