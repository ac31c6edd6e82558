import { expect, test } from 'vitest'
import { Checks } from '../../../src/boot-test/checks.ts'
import {
  checkRoutes,
  checkServiceRoute,
  compareDefaultRoute,
  compareReply,
  routeChecks,
  serviceRouteChecks,
} from '../../../src/boot-test/routes.ts'
import { layOutSite, type MachineSpec, machineOf } from '../../../src/boot-test/site.ts'
import type { PlacedClone } from '../../../src/boot-test/test-bed.ts'
import { loadPlatform } from '../../../src/platform/load.ts'

const platform = await loadPlatform('platform.yaml')
const site = layOutSite(platform, [
  { hostname: 'lb1', role: 'haproxy', number: 0 },
  { hostname: 'w1', role: 'worker', number: 1 },
])
const [balancer, worker] = [machineOf(site, 'lb1'), machineOf(site, 'w1')]
const home = { dst: 'default', gateway: '192.168.3.40', dev: 'eth2', protocol: 'dhcp', metric: 1024 }
const wan = { ...home, gateway: '192.168.1.40', dev: 'eth3' }

test('the default route has to be the plan’s, and the only one', () => {
  const compare = (machine: MachineSpec, ...routes: object[]) =>
    compareDefaultRoute(machine, JSON.stringify(routes))
  expect(compare(balancer, home)).toBe('default route of lb1: by 192.168.3.40 on eth2')
  expect(() => compare(balancer, home, wan)).toThrow(
    'the default route of lb1 is by 192.168.3.40 on eth2 and by 192.168.1.40 on eth3; by the plan by 192.168.3.40 on eth2',
  )
  expect(() => compare(balancer)).toThrow('the default route of lb1 is none')
  expect(compare(worker)).toBe('default route of w1: none')
  const own = { dst: 'default', gateway: '10.0.0.104', dev: 'eth0' }
  expect(() => compare(worker, own)).toThrow(
    'the default route of w1 is by 10.0.0.104 on eth0; by the plan none',
  )
})

test('a reply has to leave by the card and the router of its request', () => {
  const card = balancer.nics[3]
  if (!card) throw new Error('the load balancer has four cards')
  const compare = (route: object) => compareReply(balancer, card, JSON.stringify([route]))
  expect(compare(wan)).toBe('replies from 192.168.1.10 by 192.168.1.40 on eth3')
  expect(() => compare(home)).toThrow(
    'a reply of lb1 from 192.168.1.10 leaves by 192.168.3.40 on eth2; its request came by 192.168.1.40 on eth3',
  )
})

/** A clone whose `ip` answers by the last words of the command. */
function answering(machine: MachineSpec, answers: Readonly<Record<string, object[]>>): PlacedClone {
  const shell = async (script: string) => {
    const [, routes] = Object.entries(answers).find(([end]) => script.endsWith(end)) ?? []
    if (!routes) throw new Error(`RTNETLINK answers: Network is unreachable (${script})`)
    return JSON.stringify(routes)
  }
  return { machine, clone: { agent: { shell } } } as unknown as PlacedClone
}

test('the way of the replies of every card with a router is compared', async () => {
  const checks = new Checks(routeChecks)
  const good = { default: [home], 'from 192.168.3.10': [home], 'from 192.168.1.10': [wan] }
  await checkRoutes(checks, [answering(balancer, good), answering(worker, { default: [] })])
  expect(checks.results()[0]).toMatchObject({
    status: 'passed',
    detail:
      'default route of lb1: by 192.168.3.40 on eth2, replies from 192.168.3.10 by 192.168.3.40 on eth2, ' +
      'replies from 192.168.1.10 by 192.168.1.40 on eth3; default route of w1: none',
  })
  const twisted = answering(balancer, { ...good, 'from 192.168.1.10': [home] })
  expect(await checkRoutes(checks, [twisted])).toBe(false)
})

test('an address of a service needs a route', async () => {
  const checks = new Checks(serviceRouteChecks)
  await checkServiceRoute(checks, platform, [answering(worker, { '10.96.0.1': [{ dev: 'eth0' }] })])
  expect(checks.results()[0]).toMatchObject({ status: 'passed', detail: '10.96.0.1 on eth0 of w1' })
  await checkServiceRoute(checks, platform, [answering(worker, {})])
  expect(checks.results()[0]).toMatchObject({
    status: 'failed',
    detail: expect.stringContaining('unreachable'),
  })
})
