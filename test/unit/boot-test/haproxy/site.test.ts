import { expect, test } from 'vitest'
import { nodeValues, withBadValue } from '../../../../src/boot-test/haproxy/configuration.ts'
import { layOutPair } from '../../../../src/boot-test/haproxy/site.ts'
import { addressIn } from '../../../../src/boot-test/site.ts'
import { loadPlatform } from '../../../../src/platform/load.ts'

test('the site follows the platform file: a bridge per zone, the pair on its zones, the VIP', async () => {
  const site = layOutPair(await loadPlatform('platform.yaml'))
  expect(site.lan.bridges.find(({ name }) => name === 'br-middle')?.addresses).toEqual(
    [104, 126, 65, 66, 67, 68, 79, 80, 81].map((last) => `10.0.0.${last}/26`),
  )
  expect(site.lan.taps).toHaveLength(8)
  expect(site.vipCidr).toBe('10.0.0.51/26')
  expect([site.edgeZone, site.nodeZone, site.operatorZone]).toEqual(['front', 'middle', 'home'])
  expect(site.pair[0].nics[2]).toEqual({
    zone: 'home',
    tap: 'tap0-2',
    mac: 'bc:24:11:5e:00:02',
    ip: '192.168.3.10',
    address: 'dhcp',
    gateway: undefined,
    lease: {
      mac: 'bc:24:11:5e:00:02',
      address: '192.168.3.10',
      netmask: '255.255.255.0',
      broadcast: '192.168.3.255',
      server: '192.168.3.40',
      router: '192.168.3.40',
    },
    router: '192.168.3.40',
  })
  expect([...site.pair, site.moved].map((machine) => addressIn(machine, 'front'))).toEqual([
    '10.0.0.11',
    '10.0.0.12',
    '10.0.0.13',
  ])
})

test('the pair are each other’s peers, and the first has the higher priority', async () => {
  const site = layOutPair(await loadPlatform('platform.yaml'))
  expect(nodeValues(site, 0)).toEqual({
    API_BACKENDS: 'cp1=10.0.0.65 cp2=10.0.0.66 cp3=10.0.0.67 cp4=10.0.0.68',
    NODEPORTS: '30080 30443',
    NODEPORT_BACKENDS: 'w1=10.0.0.79 w2=10.0.0.80 w3=10.0.0.81',
    VIP: '10.0.0.51/26',
    VRRP_PRIORITY: '150',
    VRRP_ROUTER_ID: '51',
    VRRP_PEERS: '10.0.0.12',
  })
  expect(nodeValues(site, 1)).toMatchObject({ VRRP_PRIORITY: '100', VRRP_PEERS: '10.0.0.11' })
  expect(withBadValue(nodeValues(site, 1)).NODEPORT_BACKENDS).toBe('w1=10.0.0.700')
})
