import { join } from 'node:path'
import { expect, it } from 'vitest'
import { loadPlatform } from '../../../src/platform/load.ts'
import { networkRows, portRows } from '../../../src/platform/tables.ts'

const platform = await loadPlatform(join(import.meta.dirname, '../../../platform.yaml'))

it('has the six networks of the site', () => {
  const rows = networkRows(platform).map(({ zone, bridge, cidr, range, host }) => [
    zone,
    bridge,
    cidr,
    range ?? host,
  ])
  expect(rows).toEqual([
    ['home', 'vmbr0', '192.168.3.0/24', '192.168.3.61'],
    ['public', 'vmbr1', '192.168.1.0/24', '192.168.1.253'],
    ['front', 'vmbr11', '10.0.0.0/26', '10.0.0.1-10.0.0.50'],
    ['middle', 'vmbr12', '10.0.0.64/26', '10.0.0.65-10.0.0.114'],
    ['back', 'vmbr13', '10.0.0.128/26', '10.0.0.129-10.0.0.178'],
    ['vault', 'vmbr14', '10.0.0.192/26', '10.0.0.193-10.0.0.242'],
  ])
})

it('offers the addresses outside the node ranges that no VIP has', () => {
  expect(networkRows(platform).map(({ zone, free }) => [zone, ...free])).toEqual([
    ['home'],
    ['public'],
    ['front', '10.0.0.52-10.0.0.62'],
    ['middle', '10.0.0.116-10.0.0.126'],
    ['back', '10.0.0.179-10.0.0.190'],
    ['vault', '10.0.0.243-10.0.0.254'],
  ])
})

it('lists a role by its network cards', () => {
  expect(networkRows(platform, 'haproxy').map(({ zone }) => zone)).toEqual([
    'front',
    'middle',
    'home',
    'public',
  ])
})

const nodes = ['control-plane', 'worker']
it.each([
  // The port tables of the site
  ['control-plane', 'tcp 6783', nodes],
  ['worker', 'tcp 6783', nodes],
  ['worker', 'udp 6783', nodes],
  ['control-plane', 'udp 6784', nodes],
  ['worker', 'tcp 6781', []],
  ['worker', 'tcp 6782', []],
  ['control-plane', 'tcp 6443', [...nodes, 'haproxy']],
  ['worker', 'tcp 6443', []],
  ['control-plane', 'tcp 10250', nodes],
  ['worker', 'tcp 10250', nodes],
  ['worker', 'tcp 30000-32767', [...nodes, 'haproxy', 'pods']],
  ['control-plane', 'udp 30000-32767', [...nodes, 'haproxy', 'pods']],
  ['etcd', 'tcp 2379', ['control-plane', 'etcd']],
  ['etcd', 'tcp 2380', ['etcd']],
  // What they leave out
  ['haproxy', 'tcp 6443', [...nodes, 'home']],
  ['haproxy', 'tcp 30000-32767', ['any']],
  ['haproxy', 'vrrp', ['haproxy']],
  ['etcd', 'vrrp', []],
  ['haproxy', 'tcp 8405', []],
  ['etcd', 'tcp 22', ['home']],
  ['worker', 'icmp', ['home', 'front', 'middle', 'back']],
  ['worker', 'tcp 10256', ['haproxy']],
  ['worker', 'all', ['pods']],
  ['control-plane', 'all', ['pods']],
  ['etcd', 'all', []],
  ['dns', 'udp 53', ['haproxy', 'etcd', ...nodes]],
  ['ntp', 'udp 123', ['haproxy', 'etcd', ...nodes]],
])('opens on %s %s to %j', (to, service, sources) => {
  const [protocol, port] = service.split(' ')
  const open = portRows(platform)
    .filter((row) => row.to === to && row.enabled)
    .filter(({ protocols }) => protocols.some((one) => one === protocol))
    .filter(({ ports }) => !port || ports.includes(port))
  expect(new Set(open.flatMap(({ from }) => from.map(({ name }) => name)))).toEqual(new Set(sources))
})

it('narrows a role to the zones that both sides are in', () => {
  const addresses = (to: string, flow: string, from: string) =>
    portRows(platform)
      .find((row) => row.to === to && row.flow === flow)
      ?.from.find(({ name }) => name === from)?.addresses
  expect(addresses('control-plane', 'api', 'haproxy')).toBe('10.0.0.105-10.0.0.114')
  expect(addresses('etcd', 'etcd-client', 'control-plane')).toBe('10.0.0.154-10.0.0.178')
  expect(addresses('haproxy', 'haproxy-vrrp', 'haproxy')).toBe('10.0.0.1-10.0.0.50, 10.0.0.105-10.0.0.114')
  expect(addresses('dns', 'dns', 'etcd')).toBe('10.0.0.129-10.0.0.153')
})
