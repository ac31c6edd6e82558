import { createServer } from 'node:net'
import { expect, test } from 'vitest'
import {
  checkProbes,
  expectedAnswer,
  mayConnect,
  planProbes,
  portsToProbe,
} from '../../../src/boot-test/port-matrix.ts'
import { layOutSite, machineOf } from '../../../src/boot-test/site.ts'
import { loadPlatform } from '../../../src/platform/load.ts'

const platform = await loadPlatform('platform.yaml')

test('every port of the platform file is probed, of any role, and the neighbours of ranges', () => {
  const { tcp, udp } = portsToProbe(platform)
  for (const port of [22, 2379, 2380, 6443, 10250, 10256, 6781, 6782, 6783, 29999, 30000, 32767, 32768]) {
    expect(tcp).toContain(port)
  }
  expect(udp).toEqual([53, 68, 123, 4789, 5353, 6783, 6784, 8472, 29999, 30000, 32767, 32768])
  expect(new Set(tcp).size).toBe(tcp.length)
})

test('only members and control planes reach etcd, but not other machines in their zone', () => {
  const site = layOutSite(platform, [{ hostname: 'etcd1', role: 'etcd', number: 0 }])
  const ports = { tcp: [22, 2379, 2380], udp: [53] }
  const serving = { tcp: [22, 2379, 2380], udp: [] }
  const probes = planProbes({ platform, site }, machineOf(site, 'etcd1'), serving, ports)
  const open = probes
    .filter(({ expected }) => expected === 'open')
    .map(({ source, port }) => `${port} ${source}`)
  const echoes = ['home', 'front', 'middle', 'back'].flatMap((zone) => {
    return zone === 'home' ? [`0 ${zone}`] : [`0 ${zone}`, `0 ${zone} outside its nodes`]
  })
  expect(open.filter((text) => text.startsWith('0 '))).toEqual(echoes)
  expect(open.filter((text) => !text.startsWith('0 '))).toEqual(['22 home', '2379 back'])
  expect(probes).toHaveLength(11 * 5)
  expect(new Set(probes.map(({ to }) => to))).toEqual(new Set(['10.0.0.129']))
  expect(
    probes.filter(({ protocol }) => protocol === 'udp').every(({ expected }) => expected === 'silent'),
  ).toBe(true)
})

test('a machine is probed in its own zones there, and from the others by its default route', () => {
  const site = layOutSite(platform, [{ hostname: 'lb1', role: 'haproxy', number: 0 }])
  const serving = { tcp: [6443], udp: [] }
  const probes = planProbes({ platform, site }, machineOf(site, 'lb1'), serving, serving)
  const ports = probes.filter(({ protocol }) => protocol === 'tcp')
  expect(ports.map(({ source, to, expected }) => `${source} to ${to} ${expected}`)).toEqual([
    'home to 192.168.3.10 open',
    'public to 192.168.1.10 silent',
    'front to 10.0.0.11 silent',
    'front outside its nodes to 10.0.0.11 silent',
    'middle to 10.0.0.105 open',
    'middle outside its nodes to 10.0.0.105 silent',
    'back to 192.168.3.10 silent',
    'back outside its nodes to 192.168.3.10 silent',
    'vault to 192.168.3.10 silent',
    'vault outside its nodes to 192.168.3.10 silent',
    'a pod’s address to 192.168.3.10 silent',
  ])
})

test('a port that is open but not served is refused, and one of a disabled flow is silent', () => {
  const answer = (from: string, port: number, protocol: 'tcp' | 'udp') =>
    expectedAnswer(platform, 'worker', { from, port, protocol }, protocol === 'tcp' ? [22] : [])
  expect(answer('10.0.0.104', 10250, 'tcp')).toBe('refused')
  expect(answer('10.0.0.104', 6784, 'udp')).toBe('refused')
  expect(answer('10.0.0.104', 6781, 'tcp')).toBe('silent')
  expect(answer('10.32.0.10', 10250, 'tcp')).toBe('silent')
  expect(answer('192.168.3.40', 22, 'tcp')).toBe('open')
})

test('a port that answers otherwise is named with the source of the probe', async () => {
  const server = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const address = server.address()
  const port = typeof address === 'object' && address ? address.port : 0
  const probe = { source: 'front', from: '127.0.0.1', to: '127.0.0.1', port, protocol: 'tcp' } as const
  expect(await checkProbes([{ ...probe, expected: 'open' }])).toBe(
    '1 probes, 1 open, 0 let in, 0 dropped, from front',
  )
  await expect(checkProbes([{ ...probe, expected: 'silent' }])).rejects.toThrow(
    `${port}/tcp from front is open, expected silent`,
  )
  server.close()
  const closed = { ...probe, port: 9, protocol: 'udp', expected: 'refused' } as const
  expect(await checkProbes([closed])).toContain('1 let in')
})

test('an echo request without the expected answer is named', async () => {
  const echo = { source: 'home', from: '127.0.0.1', to: '127.0.0.1', port: 0, protocol: 'icmp' } as const
  expect(await checkProbes([{ ...echo, expected: 'open' }])).toContain('1 open')
  await expect(checkProbes([{ ...echo, expected: 'silent' }])).rejects.toThrow(
    'an echo request from home is open, expected silent',
  )
})

test('the platform file decides which addresses may connect', () => {
  expect(mayConnect(platform, 'haproxy', { from: '192.168.3.40', port: 22, protocol: 'tcp' })).toBe(true)
  expect(mayConnect(platform, 'haproxy', { from: '10.0.0.40', port: 22, protocol: 'tcp' })).toBe(false)
  expect(mayConnect(platform, 'haproxy', { from: '10.0.0.104', port: 6443, protocol: 'tcp' })).toBe(true)
  expect(mayConnect(platform, 'haproxy', { from: '10.0.0.120', port: 6443, protocol: 'tcp' })).toBe(false)
  expect(mayConnect(platform, 'haproxy', { from: '203.0.113.9', port: 30080, protocol: 'tcp' })).toBe(true)
  expect(mayConnect(platform, 'haproxy', { from: '10.0.0.104', port: 8405, protocol: 'tcp' })).toBe(false)
})
