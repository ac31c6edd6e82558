import { expect, test } from 'vitest'
import { addressFrom, addressIn, layOutSite, machineOf, nodeAddress } from '../../../src/boot-test/site.ts'
import { loadPlatform } from '../../../src/platform/load.ts'
import { withGateways } from '../../support/boot-test/gateways.ts'

const platform = await loadPlatform('platform.yaml')

test('a bridge per zone, with an address that a node could have and an unused one', () => {
  const { lan } = layOutSite(platform, [])
  expect(lan.bridges).toEqual([
    { name: 'br-home', addresses: ['192.168.3.40/24', '10.32.0.10/32'] },
    { name: 'br-public', addresses: ['192.168.1.40/24'] },
    { name: 'br-front', addresses: ['10.0.0.40/26', '10.0.0.62/26'] },
    { name: 'br-middle', addresses: ['10.0.0.104/26', '10.0.0.126/26'] },
    { name: 'br-back', addresses: ['10.0.0.168/26', '10.0.0.190/26'] },
    { name: 'br-vault', addresses: ['10.0.0.232/26', '10.0.0.254/26'] },
  ])
})

test('a zone’s MTU is that of its bridge and of the cards in it', () => {
  const changed = structuredClone(platform)
  const { front } = changed.zones
  if (front) front.mtu = 1400
  const site = layOutSite(changed, [{ hostname: 'lb1', role: 'haproxy', number: 0 }])
  expect(site.lan.bridges.flatMap(({ name, mtu }) => (mtu === undefined ? [] : [[name, mtu]]))).toEqual([
    ['br-front', 1400],
  ])
  expect(machineOf(site, 'lb1').nics.map(({ mtu }) => mtu)).toEqual([1400, undefined, undefined, undefined])
})

test('machines have a card in each zone of their role, each with an address of its own', () => {
  const site = layOutSite(
    platform,
    [
      { hostname: 'cp1', role: 'control-plane', number: 0 },
      { hostname: 'etcd1', role: 'etcd', number: 1 },
      { hostname: 'lb1', role: 'haproxy', number: 2 },
    ],
    [{ zone: 'back', address: '10.0.0.150' }],
  )
  expect(machineOf(site, 'cp1').nics.map(({ tap, address, gateway }) => [tap, address, gateway])).toEqual([
    ['tap0-0', '10.0.0.65/26', undefined],
    ['tap0-1', '10.0.0.154/26', undefined],
  ])
  expect(machineOf(site, 'etcd1').nics.map(({ address, gateway }) => [address, gateway])).toEqual([
    ['10.0.0.130/26', undefined],
  ])
  expect(site.lan.taps.map(({ name, bridge }) => `${name} ${bridge}`)).toEqual([
    'tap0-0 br-middle',
    'tap0-1 br-back',
    'tap1-0 br-back',
    'tap2-0 br-front',
    'tap2-1 br-middle',
    'tap2-2 br-home',
    'tap2-3 br-public',
  ])
  expect(site.lan.bridges.find(({ name }) => name === 'br-back')?.addresses).toContain('10.0.0.150/26')
  expect(() => machineOf(site, 'etcd2')).toThrow('no machine etcd2')
})

test('from zones without a card of it, a machine is reached by the card of its default route, or by its first', () => {
  const site = layOutSite(platform, [
    { hostname: 'etcd1', role: 'etcd', number: 0 },
    { hostname: 'lb1', role: 'haproxy', number: 1 },
  ])
  const [etcd, balancer] = [machineOf(site, 'etcd1'), machineOf(site, 'lb1')]
  expect(addressFrom(etcd, 'home')).toBe('10.0.0.129')
  expect(() => addressIn(etcd, 'home')).toThrow('no card in the zone home')
  expect([addressFrom(balancer, 'front'), addressFrom(balancer, 'back')]).toEqual([
    '10.0.0.12',
    '192.168.3.11',
  ])
})

test('routers and default routes are the plan’s: gateways, and with DHCP the server', () => {
  const plans = [
    { hostname: 'lb1', role: 'haproxy', number: 0 },
    { hostname: 'cp1', role: 'control-plane', number: 1 },
  ] as const
  const routersOf = (site: ReturnType<typeof layOutSite>, hostname: string) =>
    machineOf(site, hostname).nics.map(({ router, gateway, lease }) => [router, gateway, lease?.router])
  const shipped = layOutSite(platform, plans)
  expect(routersOf(shipped, 'lb1')).toEqual([
    [undefined, undefined, undefined],
    [undefined, undefined, undefined],
    ['192.168.3.40', undefined, '192.168.3.40'],
    ['192.168.1.40', undefined, '192.168.1.40'],
  ])
  expect(machineOf(shipped, 'lb1').defaultCard?.zone).toBe('home')
  expect(machineOf(shipped, 'cp1')).toMatchObject({ defaultCard: undefined, routes: '' })

  const gateways = withGateways(platform, { back: '10.0.0.190', public: '192.168.1.1' })
  const site = layOutSite(gateways, plans)
  expect(routersOf(site, 'lb1').at(-1)).toEqual(['192.168.1.1', undefined, '192.168.1.1'])
  expect(routersOf(site, 'cp1')).toEqual([
    [undefined, undefined, undefined],
    ['10.0.0.190', '10.0.0.190', undefined],
  ])
  expect(machineOf(site, 'cp1').routes).toBe('eth0=10.0.0.64/26 eth1=10.0.0.128/26,10.0.0.190,default')
  expect(addressFrom(machineOf(site, 'cp1'), 'home')).toBe('10.0.0.155')
  const addresses = (name: string) => site.lan.bridges.find((bridge) => bridge.name === name)?.addresses
  expect(addresses('br-back')).toEqual(['10.0.0.168/26', '10.0.0.189/26', '10.0.0.190/26'])
  expect(addresses('br-public')).toEqual(['192.168.1.40/24', '192.168.1.1/24'])
})

test('a bridge has an address once, and a gateway that is the address of a clone is refused', () => {
  const probe = layOutSite(withGateways(platform, { home: '192.168.3.40' }), [])
  expect(probe.lan.bridges[0]?.addresses).toEqual(['192.168.3.40/24', '10.32.0.10/32'])
  const taken = withGateways(platform, { back: '10.0.0.129' })
  expect(() => layOutSite(taken, [{ hostname: 'etcd1', role: 'etcd', number: 0 }])).toThrow(
    'the test would give etcd1 the address of the gateway in back, 10.0.0.129',
  )
})

test('an address is one of the node range, and a zone that is too small is refused', () => {
  const small = structuredClone(platform)
  const { back } = small.zones
  if (back) back.range = { first: '10.0.0.150', last: '10.0.0.155' }
  expect(nodeAddress(small, 'back', 2)).toBe('10.0.0.151')
  expect(() => nodeAddress(small, 'back', 7)).toThrow('too small for a test')
  const closed = structuredClone(platform)
  delete closed.flows.ssh
  expect(() => layOutSite(closed, [])).toThrow('lets no zone log in')
})
