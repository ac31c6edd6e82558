import { describe, expect, it } from 'vitest'
import { parsePlatform } from '../../../src/platform/load.ts'
import { UsageError } from '../../../src/report/error.ts'

const site = `zones:
  front:
    title: Front
    bridge: vmbr11
    cidr: 10.0.0.0/26
    range: 10.0.0.1-10.0.0.50
    gateway: 10.0.0.62
  back:
    title: Back
    bridge: vmbr13
    cidr: 10.0.0.128/26
    range: 10.0.0.129-10.0.0.178
  lan: { title: LAN, bridge: vmbr0, cidr: 192.168.3.0/24, host: 192.168.3.61 }
dns: [9.9.9.9]
ntp: [pool.ntp.org]
vips:
  edge: { role: haproxy, zone: front, address: 10.0.0.51 }
  spare: { role: haproxy, zone: front, address: 10.0.0.52 }
roles:
  haproxy: { zones: [front, lan], cores: 2, memory: 1024, disk: 8 }
  etcd: { zones: [back], cores: 2, memory: 2048, disk: 8 }
  control-plane: { zones: [front, back], cores: 2, memory: 2048, disk: 8 }
  worker: { zones: [front], cores: 2, memory: 2048, disk: 8 }
cluster:
  pods: { cidr: 10.32.0.0/12, interface: weave }
  services: { cidr: 10.96.0.0/12 }
  nodePorts: 30000-32767
flows:
  ssh: { from: [lan], to: [haproxy, etcd], protocols: [tcp], ports: [22], why: rescue }
  ping:
    from: [any]
    to: [worker]
    protocols: [icmp]
    why: reachability
`

function errorAfter(from: string, to: string): string {
  expect(site.split(from)).toHaveLength(2)
  try {
    parsePlatform(site.replace(from, to), 'p.yaml')
  } catch (error) {
    expect(error).toBeInstanceOf(UsageError)
    return (error as UsageError).message
  }
  throw new Error('the file was accepted')
}

describe('a platform file', () => {
  it('is accepted when nothing in it contradicts itself', () => {
    const platform = parsePlatform(site, 'p.yaml')
    expect(platform.zones.front?.range).toEqual({ first: '10.0.0.1', last: '10.0.0.50' })
    expect(platform.flows.ssh).toMatchObject({ ports: [{ first: 22, last: 22 }], enabled: true })
  })

  it.each([
    // Addresses
    [
      'etcd: { zones: [back],',
      'etcd: { zones: [back], addresses: { front: 10.0.0.1-10.0.0.9 },',
      'p.yaml:21:39: roles.etcd.addresses.front: found zone front, where no etcd stands; use one of back',
    ],
    [
      'etcd: { zones: [back],',
      'etcd: { zones: [back], addresses: { back: 10.0.0.1-10.0.0.9 },',
      'p.yaml:21:45: roles.etcd.addresses.back: found 10.0.0.1-10.0.0.9, which is not inside 10.0.0.129-10.0.0.178 of zone back; stay within 10.0.0.129-10.0.0.178',
    ],
    [
      'etcd: { zones: [back],',
      'etcd: { zones: [back], addresses: { back: 10.0.0.139-10.0.0.130 },',
      'p.yaml:21:45: roles.etcd.addresses.back: found 10.0.0.139-10.0.0.130, which is reversed; write 10.0.0.130-10.0.0.139',
    ],
    [
      'haproxy: { zones: [front, lan],',
      'haproxy: { zones: [front, lan], addresses: { lan: 192.168.3.1-192.168.3.9 },',
      'p.yaml:20:53: roles.haproxy.addresses.lan: found addresses in zone lan, which has no range; give zones.lan a range, or leave this out',
    ],
    [
      `zones: [front, back], cores: 2, memory: 2048, disk: 8 }
  worker: { zones: [front],`,
      `zones: [front, back], addresses: { front: 10.0.0.1-10.0.0.9 }, cores: 2, memory: 2048, disk: 8 }
  worker: { zones: [front], addresses: { front: 10.0.0.9-10.0.0.20 },`,
      'p.yaml:23:49: roles.worker.addresses.front: found 10.0.0.9-10.0.0.20, which overlaps 10.0.0.1-10.0.0.9 of roles.control-plane; give each role its own addresses',
    ],
    [
      '10.0.0.128/26',
      '10.0.0.128/24',
      'p.yaml:11:11: zones.back.cidr: found "10.0.0.128/24"; it has host bits set, write 10.0.0.0/24',
    ],
    [
      '10.0.0.128/26',
      '10.0.0/26',
      'p.yaml:11:11: zones.back.cidr: found "10.0.0/26"; write an IPv4 network such as 10.0.0.0/26',
    ],
    [
      'cidr: 192.168.3.0/24, host: 192.168.3.61',
      'cidr: 10.0.0.32/27',
      'p.yaml:13:43: zones.lan.cidr: found 10.0.0.32/27, which overlaps 10.0.0.0/26 of zones.front.cidr; give each its own addresses',
    ],
    [
      '10.32.0.0/12',
      '10.0.0.0/12',
      'p.yaml:25:17: cluster.pods.cidr: found 10.0.0.0/12, which overlaps 10.0.0.0/26 of zones.front.cidr; give each its own addresses',
    ],
    [
      '10.96.0.0/12',
      '10.40.0.0/16',
      'p.yaml:26:21: cluster.services.cidr: found 10.40.0.0/16, which overlaps 10.32.0.0/12 of cluster.pods.cidr; give each its own addresses',
    ],
    [
      '10.0.0.129-10.0.0.178',
      '10.0.0.129-10.0.0.200',
      'p.yaml:12:12: zones.back.range: found 10.0.0.129-10.0.0.200, which is not inside 10.0.0.128/26; stay within 10.0.0.129-10.0.0.190',
    ],
    [
      '10.0.0.129-10.0.0.178',
      '10.0.0.128-10.0.0.178',
      'p.yaml:12:12: zones.back.range: found 10.0.0.128-10.0.0.178, which is not inside 10.0.0.128/26; stay within 10.0.0.129-10.0.0.190',
    ],
    [
      '10.0.0.129-10.0.0.178',
      '10.0.0.178-10.0.0.129',
      'p.yaml:12:12: zones.back.range: found 10.0.0.178-10.0.0.129, which is reversed; write 10.0.0.129-10.0.0.178',
    ],
    [
      '10.0.0.129-10.0.0.178',
      '129-178',
      'p.yaml:12:12: zones.back.range: found "129-178"; write two IPv4 addresses such as 10.0.0.1-10.0.0.50',
    ],
    [
      '10.0.0.62',
      '10.0.0.65',
      'p.yaml:7:14: zones.front.gateway: found 10.0.0.65, which is not inside 10.0.0.0/26; choose one of 10.0.0.1-10.0.0.62',
    ],
    [
      '192.168.3.61',
      '192.168.4.61',
      'p.yaml:13:65: zones.lan.host: found 192.168.4.61, which is not inside 192.168.3.0/24; choose one of 192.168.3.1-192.168.3.254',
    ],
    ['9.9.9.9', 'resolver', 'p.yaml:14:7: dns[0]: found "resolver"; write an IPv4 address such as 10.0.0.51'],
    ['pool.ntp.org', '-x', 'p.yaml:15:7: ntp[0]: found "-x"; write an IPv4 address or a host name'],
    ['pool.ntp.org', 'a..b', 'p.yaml:15:7: ntp[0]: found "a..b"; write an IPv4 address or a host name'],
    ['pool.ntp.org', '1.2.3', 'p.yaml:15:7: ntp[0]: found "1.2.3"; write an IPv4 address or a host name'],
    [
      'edge: { role: haproxy',
      'edge: { role: etcd',
      'p.yaml:17:17: vips.edge.role: found etcd, whose nodes serve no VIP; use haproxy',
    ],
    [
      'haproxy: { zones: [front, lan],',
      'haproxy: { zones: [front, lan], default-route: back,',
      'p.yaml:20:50: roles.haproxy.default-route: found back, where no haproxy stands; use one of front, lan',
    ],
    [
      'etcd: { zones: [back],',
      'etcd: { zones: [back], default-route: back,',
      'p.yaml:21:41: roles.etcd.default-route: found back, which has no gateway; give zones.back a gateway, or choose another zone',
    ],
    // Zones and bridges
    [
      'vmbr13',
      'vmbr11',
      'p.yaml:10:13: zones.back.bridge: found vmbr11, which zone front has already; give each zone its own vlan on the bridge, or its own bridge',
    ],
    [
      'vmbr13',
      'vmbr 13',
      'p.yaml:10:13: zones.back.bridge: found "vmbr 13"; write the name of a bridge such as vmbr11',
    ],
    [
      'vmbr13',
      'vmbr0.20',
      'p.yaml:10:13: zones.back.bridge: found "vmbr0.20"; that is a VLAN interface, not a bridge; write `bridge: vmbr0` with `vlan: 20`',
    ],
    [
      'vmbr0, cidr',
      'vmbr13, vlan: 1, cidr',
      'p.yaml:13:44: zones.lan.vlan: found vlan 1 on vmbr13, where zone back has no vlan: on a VLAN-aware bridge that is the same network; give each zone its own vlan on the bridge, or its own bridge',
    ],
    ['vmbr0, cidr', 'vmbr0, vlan: 0, cidr', 'p.yaml:13:43: zones.lan.vlan: found 0; give at least 1'],
    ['vmbr0, cidr', 'vmbr0, vlan: 4095, cidr', 'p.yaml:13:43: zones.lan.vlan: found 4095; give at most 4094'],
    [
      'vmbr0, cidr',
      'vmbr0, tag: 20, cidr',
      'p.yaml:13:37: zones.lan.tag: unknown key; use one of title, bridge, vlan, mtu, cidr, range, host, gateway',
    ],
    ['vmbr0, cidr', 'vmbr0, mtu: 1, cidr', 'p.yaml:13:42: zones.lan.mtu: found 1; give at least 1280'],
    [
      'vmbr0, cidr',
      'vmbr0, mtu: 65521, cidr',
      'p.yaml:13:42: zones.lan.mtu: found 65521; give at most 65520',
    ],
    [
      '  lan: {',
      '  any: {',
      expect.stringContaining(
        'p.yaml:13:3: zones.any: the name any already means something in flows; give the zone another name',
      ),
    ],
    [
      '  lan: {',
      '  Lan: {',
      'p.yaml:13:3: zones.Lan: found "Lan"; name it with lower-case letters, digits and hyphens, at most 50',
    ],
    ['gateway:', 'gatway:', 'p.yaml:7:5: zones.front.gatway: unknown key; did you mean gateway?'],
    // VIPs
    [
      '10.0.0.51',
      '10.0.0.7',
      'p.yaml:17:48: vips.edge.address: found 10.0.0.7, which is inside the node range 10.0.0.1-10.0.0.50 of zone front; choose one of 10.0.0.51-10.0.0.61',
    ],
    [
      '10.0.0.51',
      '10.0.0.63',
      'p.yaml:17:48: vips.edge.address: found 10.0.0.63, which is not inside 10.0.0.0/26 of zone front; choose one of 10.0.0.51-10.0.0.61',
    ],
    [
      '10.0.0.51',
      '10.0.0.62',
      'p.yaml:17:48: vips.edge.address: found 10.0.0.62, the host or gateway of zone front; choose one of 10.0.0.51-10.0.0.61',
    ],
    [
      '10.0.0.52',
      '10.0.0.51',
      'p.yaml:18:49: vips.spare.address: found 10.0.0.51, which VIP edge has already; choose one of 10.0.0.51-10.0.0.61',
    ],
    [
      'zone: front, address: 10.0.0.51',
      'zone: frnt, address: 10.0.0.51',
      'p.yaml:17:32: vips.edge.zone: found unknown zone frnt; did you mean front?',
    ],
    [
      'zone: front, address: 10.0.0.51',
      'zone: back, address: 10.0.0.190',
      'p.yaml:17:32: vips.edge.zone: found back, where no haproxy stands; use one of front, lan',
    ],
    [
      'edge: { role: haproxy',
      'edge: { role: balancer',
      'p.yaml:17:17: vips.edge.role: found "balancer"; use one of haproxy, etcd, control-plane, worker',
    ],
    // Roles
    [
      'zones: [back]',
      'zones: [vault]',
      'p.yaml:21:19: roles.etcd.zones[0]: found unknown zone vault; use one of front, back, lan',
    ],
    [
      'zones: [back]',
      'zones: [back, back]',
      'p.yaml:21:25: roles.etcd.zones[1]: found back a second time; name each zone once',
    ],
    [
      'zones: [back]',
      'zones: [lan]',
      'p.yaml:21:11: roles.etcd.zones: none of lan has a range to take addresses from; add a zone that has a range',
    ],
    [
      '  etcd:',
      '  etdc:',
      'p.yaml:19:1: roles.etcd: missing; add it (a map of keys)\np.yaml:21:3: roles.etdc: unknown key; did you mean etcd?',
    ],
    ['[back], cores: 2', '[back], cores: 0', 'p.yaml:21:33: roles.etcd.cores: found 0; give at least 1'],
    // Flows
    [
      'from: [lan]',
      'from: [laan]',
      'p.yaml:29:17: flows.ssh.from[0]: found laan, which is no role and no zone; did you mean lan?',
    ],
    [
      'from: [lan]',
      'from: [office]',
      'p.yaml:29:17: flows.ssh.from[0]: found office, which is no role and no zone; use one of haproxy, etcd, control-plane, worker, front, back, lan, pods, any, a CIDR',
    ],
    [
      'from: [lan]',
      'from: [10.0.0.5/26]',
      'p.yaml:29:17: flows.ssh.from[0]: found 10.0.0.5/26, which is no network; it has host bits set, write 10.0.0.0/26',
    ],
    [
      'from: [lan]',
      'from: [pods]',
      'p.yaml:29:17: flows.ssh.from[0]: found pods, which only control-plane and worker see as such; use control-plane and worker: pods leave their node with its address',
    ],
    [
      'to: [worker]',
      'to: [wroker]',
      'p.yaml:32:10: flows.ping.to[0]: found unknown role wroker; did you mean worker?',
    ],
    [
      'protocols: [icmp]',
      'protocols: [icmpv4]',
      'p.yaml:33:17: flows.ping.protocols[0]: found "icmpv4"; did you mean icmp?',
    ],
    [
      'protocols: [icmp]',
      'protocols: [icmp, tcp]',
      'p.yaml:33:5: flows.ping.protocols: found icmp, tcp; put icmp in a flow of its own',
    ],
    [
      'protocols: [icmp]',
      'protocols: [vrrp]\n    ports: [112]',
      'p.yaml:34:5: flows.ping.ports: found ports with vrrp, which has none; remove ports',
    ],
    [
      'protocols: [icmp]',
      'protocols: [udp]',
      'p.yaml:33:5: flows.ping.protocols: found udp without ports; add ports',
    ],
    [
      'ports: [22]',
      'ports: [70000]',
      'p.yaml:29:70: flows.ssh.ports[0]: found 70000; give a port from 1 to 65535 or a range such as 30000-32767',
    ],
    [
      'ports: [22]',
      'ports: [ssh]',
      'p.yaml:29:70: flows.ssh.ports[0]: found "ssh"; give a port from 1 to 65535 or a range such as 30000-32767',
    ],
    [
      'ports: [22]',
      'ports: [80-22]',
      'p.yaml:29:70: flows.ssh.ports[0]: found "80-22", which is reversed; write 22-80',
    ],
    [
      'ports: [22]',
      'ports: [22, 20-25]',
      'p.yaml:29:74: flows.ssh.ports[1]: found 20-25, which overlaps 22; name each port once',
    ],
    [
      'why: rescue',
      'why: "a\\nb"',
      'p.yaml:29:80: flows.ssh.why: found a line break or nothing; write one line',
    ],
  ])('is refused with %s → %s', (from, to, message) => {
    expect(errorAfter(from, to)).toEqual(message)
  })

  describe('with zones on one bridge', () => {
    const inZones = (front: string, back: string) =>
      site
        .replace('bridge: vmbr11\n', `bridge: vmbr0\n    ${front}\n`)
        .replace('bridge: vmbr13\n', `bridge: vmbr0\n    ${back}\n`)

    it('is accepted when each of them has another tag, or one of them none', () => {
      const { zones } = parsePlatform(inZones('vlan: 20', 'vlan: 4094\n    mtu: 1400'), 'p.yaml')
      expect(Object.values(zones).map(({ bridge, vlan, mtu }) => [bridge, vlan, mtu])).toEqual([
        ['vmbr0', 20, undefined],
        ['vmbr0', 4094, 1400],
        ['vmbr0', undefined, undefined],
      ])
    })

    it('is refused when two have the same tag, with what each of them has', () => {
      expect(() => parsePlatform(inZones('vlan: 20', 'vlan: 20'), 'p.yaml')).toThrow(
        new UsageError(
          'p.yaml:12:11: zones.back.vlan: found 20, which zone front has already on vmbr0; give each zone its own vlan on the bridge, or its own bridge',
        ),
      )
      expect(() => parsePlatform(inZones('vlan: 1', 'vlan: 20'), 'p.yaml')).toThrow(
        'zones.lan.bridge: found no vlan on vmbr0, where zone front has vlan 1: on a VLAN-aware bridge that is the same network',
      )
    })
  })

  it('reports all contradictions of a file together', () => {
    const text = site.replace('vmbr13', 'vmbr11').replace('to: [worker]', 'to: [wroker]')
    expect(() => parsePlatform(text, 'p.yaml')).toThrow(
      new UsageError(
        'p.yaml:10:13: zones.back.bridge: found vmbr11, which zone front has already; give each zone its own vlan on the bridge, or its own bridge\n' +
          'p.yaml:32:10: flows.ping.to[0]: found unknown role wroker; did you mean worker?',
      ),
    )
  })
})
