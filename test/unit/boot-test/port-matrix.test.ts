import { createServer } from 'node:net'
import { expect, test } from 'vitest'
import { checkProbes, meantAnswer, portsOf, probesOf } from '../../../src/boot-test/port-matrix.ts'
import { layOutSite, machineOf } from '../../../src/boot-test/site.ts'
import { loadPlatform } from '../../../src/platform/load.ts'

const platform = await loadPlatform('platform.yaml')

test('every port of the platform file is asked, whosever it is, and the neighbours of ranges', () => {
  const { tcp, udp } = portsOf(platform)
  for (const port of [22, 2379, 2380, 6443, 10250, 10256, 6781, 6782, 6783, 29999, 30000, 32767, 32768]) {
    expect(tcp).toContain(port)
  }
  expect(udp).toEqual([53, 68, 123, 4789, 5353, 6783, 6784, 8472, 29999, 30000, 32767, 32768])
  expect(new Set(tcp).size).toBe(tcp.length)
})

test('only members and control planes reach etcd, and nobody who merely stands in their zone', () => {
  const site = layOutSite(platform, [{ hostname: 'etcd1', role: 'etcd', machine: 0, routed: true }])
  const ports = { tcp: [22, 2379, 2380], udp: [53] }
  const probes = probesOf(platform, site, machineOf(site, 'etcd1'), ports, { tcp: [22, 2379, 2380], udp: [] })
  const open = probes.filter(({ meant }) => meant === 'open').map(({ asker, port }) => `${port} ${asker}`)
  const echoes = ['home', 'front', 'middle', 'back'].flatMap((zone) => {
    return zone === 'home' ? [`0 ${zone}`] : [`0 ${zone}`, `0 ${zone} outside its nodes`]
  })
  expect(open.filter((text) => text.startsWith('0 '))).toEqual(echoes)
  expect(open.filter((text) => !text.startsWith('0 '))).toEqual(['22 home', '2379 back'])
  expect(probes).toHaveLength(11 * 5)
  expect(new Set(probes.map(({ to }) => to))).toEqual(new Set(['10.0.0.129']))
  expect(probes.filter(({ protocol }) => protocol === 'udp').every(({ meant }) => meant === 'silent')).toBe(
    true,
  )
})

test('a machine without a router is asked from the zones it stands in', () => {
  const site = layOutSite(platform, [{ hostname: 'lb1', role: 'haproxy', machine: 0, routed: false }])
  const probes = probesOf(
    platform,
    site,
    machineOf(site, 'lb1'),
    { tcp: [6443], udp: [] },
    { tcp: [6443], udp: [] },
  )
  const ports = probes.filter(({ protocol }) => protocol === 'tcp')
  expect(ports.map(({ asker, meant }) => `${asker} ${meant}`)).toEqual([
    'home open',
    'public silent',
    'front silent',
    'front outside its nodes silent',
    'middle open',
    'middle outside its nodes silent',
  ])
})

test('what is let in but not served is refused, and what is off stays closed', () => {
  const meant = (from: string, port: number, protocol: 'tcp' | 'udp') =>
    meantAnswer(platform, 'worker', from, port, protocol, protocol === 'tcp' ? [22] : [])
  expect(meant('10.0.0.104', 10250, 'tcp')).toBe('refused')
  expect(meant('10.0.0.104', 6784, 'udp')).toBe('refused')
  expect(meant('10.0.0.104', 6781, 'tcp')).toBe('silent')
  expect(meant('10.32.0.10', 10250, 'tcp')).toBe('silent')
  expect(meant('192.168.3.40', 22, 'tcp')).toBe('open')
})

test('a port that answers otherwise is named with who asked', async () => {
  const server = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const address = server.address()
  const port = typeof address === 'object' && address ? address.port : 0
  const probe = { asker: 'front', from: '127.0.0.1', to: '127.0.0.1', port, protocol: 'tcp' } as const
  expect(await checkProbes([{ ...probe, meant: 'open' }])).toBe(
    '1 probes, 1 open, 0 let in, 0 dropped, from front',
  )
  await expect(checkProbes([{ ...probe, meant: 'silent' }])).rejects.toThrow(
    `${port}/tcp from front is open, meant to be silent`,
  )
  server.close()
  const closed = { ...probe, port: 9, protocol: 'udp', meant: 'refused' } as const
  expect(await checkProbes([closed])).toContain('1 let in')
})

test('an echo request is answered, or it is named', async () => {
  const echo = { asker: 'home', from: '127.0.0.1', to: '127.0.0.1', port: 0, protocol: 'icmp' } as const
  expect(await checkProbes([{ ...echo, meant: 'open' }])).toContain('1 open')
  await expect(checkProbes([{ ...echo, meant: 'silent' }])).rejects.toThrow(
    'an echo request from home is open, meant to be silent',
  )
})
