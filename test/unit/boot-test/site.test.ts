import { expect, test } from 'vitest'
import { addressFrom, addressIn, layOutSite, machineOf, nodeAddress } from '../../../src/boot-test/site.ts'
import { loadPlatform } from '../../../src/platform/load.ts'

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

test('machines have a card in each zone of their role, each with an address of its own', () => {
  const site = layOutSite(
    platform,
    [
      { hostname: 'cp1', role: 'control-plane', number: 0, routed: true },
      { hostname: 'etcd1', role: 'etcd', number: 1, routed: true },
      { hostname: 'lb1', role: 'haproxy', number: 2, routed: false },
    ],
    [{ zone: 'back', address: '10.0.0.150' }],
  )
  expect(machineOf(site, 'cp1').nics.map(({ tap, address, gateway }) => [tap, address, gateway])).toEqual([
    ['tap0-0', '10.0.0.65/26', '10.0.0.104'],
    ['tap0-1', '10.0.0.154/26', undefined],
  ])
  expect(machineOf(site, 'etcd1').nics.map(({ address, gateway }) => [address, gateway])).toEqual([
    ['10.0.0.130/26', '10.0.0.168'],
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

test('a machine is reached through the router from zones without a card of it, if it has a router', () => {
  const site = layOutSite(platform, [
    { hostname: 'etcd1', role: 'etcd', number: 0, routed: true },
    { hostname: 'lb1', role: 'haproxy', number: 1, routed: false },
  ])
  expect(addressFrom(machineOf(site, 'etcd1'), 'home')).toBe('10.0.0.129')
  expect(() => addressIn(machineOf(site, 'etcd1'), 'home')).toThrow('no card in the zone home')
  expect(() => addressFrom(machineOf(site, 'lb1'), 'back')).toThrow('cannot be reached from the zone back')
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
