import { expect, test } from 'vitest'
import { layOutSite, machineOf } from '../../../../src/boot-test/site.ts'
import { misplacedAddresses } from '../../../../src/boot-test/together/addresses.ts'
import { apiVip, balancerValues } from '../../../../src/boot-test/together/configuration.ts'
import { loadPlatform } from '../../../../src/platform/load.ts'

const platform = await loadPlatform('platform.yaml')
const site = layOutSite(platform, [
  { hostname: 'lb1', role: 'haproxy', number: 0 },
  { hostname: 'cp1', role: 'control-plane', number: 1 },
  { hostname: 'w1', role: 'worker', number: 2 },
])
const [balancer, controlPlane, worker] = [
  machineOf(site, 'lb1'),
  machineOf(site, 'cp1'),
  machineOf(site, 'w1'),
]

test('the load balancer holds every VIP of its role, the API’s first, in front of the control plane', () => {
  expect(balancerValues(platform, balancer, controlPlane, worker)).toEqual({
    API_BACKENDS: 'cp1=10.0.0.66',
    NODEPORTS: '30080',
    NODEPORT_BACKENDS: 'w1=10.0.0.77',
    VIP: '10.0.0.115/26 10.0.0.51/26',
    VRRP_PRIORITY: '150',
    VRRP_ROUTER_ID: '51',
    VRRP_PEERS: '10.0.0.114',
  })
  const without = structuredClone(platform)
  delete without.vips.api
  expect(() => apiVip(without)).toThrow('no haproxy VIP in a zone of the control planes')
})

test('an address outside of its zone’s node range is reported, a VIP is not', () => {
  const card = (mac: string, ...addresses: string[]) => ({
    address: mac,
    ifname: 'eth',
    addr_info: addresses.map((local) => ({ family: 'inet', local, scope: 'global' })),
  })
  const listing = (middle: string[], back: string[]) =>
    JSON.stringify([
      { ifname: 'lo', addr_info: [{ family: 'inet', local: '127.0.0.1', scope: 'host' }] },
      card('bc:24:11:5e:01:00', ...middle),
      card('bc:24:11:5e:01:01', ...back),
    ])
  expect(misplacedAddresses(platform, controlPlane, listing(['10.0.0.66'], ['10.0.0.155']))).toEqual([])
  expect(misplacedAddresses(platform, controlPlane, listing(['10.0.0.120'], []))).toEqual([
    'cp1 has 10.0.0.120 in middle',
    'cp1 has no address in back',
  ])
  const cards = balancer.nics.map(({ mac, ip, zone }) =>
    card(mac, ip, ...(zone === 'middle' ? ['10.0.0.115'] : [])),
  )
  expect(misplacedAddresses(platform, balancer, JSON.stringify(cards))).toEqual([])
})
