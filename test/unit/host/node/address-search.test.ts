import { describe, expect, it } from 'vitest'
import { type HostLink, interfaceInto, searchWays } from '../../../../src/host/node/address-search.ts'
import { planRequest } from '../../../../src/host/node/plan-request.ts'
import type { Platform } from '../../../../src/platform/schema.ts'
import { answeringHost } from '../../../support/nodes/answers.ts'
import { facts, platform, request } from '../../../support/nodes/site.ts'
import { checkout } from '../../../support/seeder.ts'

const UP = ['BROADCAST', 'MULTICAST', 'UP', 'LOWER_UP']

/** As iproute2 describes them. */
const bridge = (ifname: string, data: Record<string, unknown> = { vlan_filtering: 0 }): HostLink => ({
  ifname,
  flags: UP,
  linkinfo: { info_kind: 'bridge', info_data: data },
})
const vlan = (ifname: string, link: string, id: number, more: Partial<HostLink> = {}): HostLink => ({
  ifname,
  link,
  flags: UP,
  linkinfo: { info_kind: 'vlan', info_data: { protocol: '802.1Q', id, flags: ['REORDER_HDR'] } },
  ...more,
})
const aware = bridge('vmbr0', { vlan_filtering: 1, vlan_protocol: '802.1Q', vlan_default_pvid: 1 })
const port: HostLink = { ifname: 'eno1', flags: UP, master: 'vmbr0' }

describe('the interface into a zone', () => {
  const inVlan20 = { bridge: 'vmbr0', vlan: 20 }

  it('is its bridge when it has no tag, whatever else there is', () => {
    expect(interfaceInto({ bridge: 'vmbr0' }, [vlan('vmbr0.20', 'vmbr0', 20)])).toBe('vmbr0')
  })

  it('is the VLAN interface on its bridge, by tag and not by name', () => {
    const links = [aware, port, vlan('vmbr0.30', 'vmbr0', 30), vlan('storage', 'vmbr0', 20)]
    expect(interfaceInto(inVlan20, links)).toBe('storage')
    expect(interfaceInto(inVlan20, [aware, vlan('vmbr1.20', 'vmbr1', 20)])).toBeUndefined()
    expect(interfaceInto(inVlan20, [aware, vlan('vmbr0.20', 'vmbr0', 20, { flags: [] })])).toBeUndefined()
  })

  it('is the bridge that a VLAN interface is a port of', () => {
    const links = [aware, vlan('vmbr0.20', 'vmbr0', 20, { master: 'vmbr20' }), bridge('vmbr20')]
    expect(interfaceInto(inVlan20, links)).toBe('vmbr20')
  })

  it('is the bridge of Proxmox VE for a tag, where the zone’s own is not VLAN-aware', () => {
    const slave = vlan('eno1.20', 'eno1', 20, { master: 'vmbr0v20' })
    expect(interfaceInto(inVlan20, [bridge('vmbr0'), port, slave, bridge('vmbr0v20')])).toBe('vmbr0v20')
  })

  it('is a VLAN-aware bridge itself for the VLAN of its frames without a tag', () => {
    expect(interfaceInto({ bridge: 'vmbr0', vlan: 1 }, [aware])).toBe('vmbr0')
    expect(interfaceInto({ bridge: 'vmbr0', vlan: 1 }, [bridge('vmbr0')])).toBeUndefined()
  })
})

describe('nodes in a zone with a tag', () => {
  const { middle } = platform.zones
  if (!middle) throw new Error('the platform file has other zones')
  const tagged: Platform = {
    ...platform,
    zones: { ...platform.zones, middle: { ...middle, bridge: 'vmbr0', vlan: 20 } },
  }
  const certificates = {
    etcdMember: async () => [],
    etcdClient: async () => [],
    kubernetesAuthority: async () => [],
  }
  const options = { checkout, certificates }

  it('get an address at which nobody answers in that VLAN', async () => {
    const host = answeringHost((argv) => {
      if (argv.includes('link')) return JSON.stringify([aware, vlan('vmbr0.20', 'vmbr0', 20)])
      return argv[0] === 'ping' && argv.at(-1) === '10.0.0.75' ? '' : undefined
    })
    const site = facts({ platform: tagged })
    const { plans, unsearched } = await planRequest(host, site, request(['w1'], 'worker'), options)
    expect(plans[0]?.entry.addresses).toEqual({ middle: '10.0.0.76' })
    expect(host.commands).toContain('ping -n -q -c 1 -W 1 -I vmbr0.20 10.0.0.75')
    expect(unsearched).toEqual([])
  })

  it('get one without a search where this host is not in the VLAN, which is said', async () => {
    const host = answeringHost((argv) => (argv.includes('link') ? JSON.stringify([aware, port]) : ''))
    const site = facts({ platform: tagged })
    const { plans, unsearched } = await planRequest(host, site, request(['w1'], 'worker'), options)
    expect(plans[0]?.entry.addresses).toEqual({ middle: '10.0.0.75' })
    // Machines with this address in other VLANs are no reason against it.
    expect(host.commands.filter((command) => command.startsWith('ping'))).toEqual([])
    expect(unsearched).toEqual([
      "zone middle: it was not checked that no other machine has the addresses, as this host has no interface in VLAN 20 of vmbr0; give it one (vmbr0.20, which needs no address), or keep other machines out of the zone's range",
    ])
  })

  it('are searched for only in their own zones, and interfaces that cannot be read are none', async () => {
    const silent = answeringHost(() => undefined)
    expect(await searchWays(silent, tagged, 'etcd')).toEqual({
      interfaces: new Map([['back', 'vmbr13']]),
      unsearched: [],
    })
    expect(silent.commands).toEqual([])
    const { interfaces, unsearched } = await searchWays(silent, tagged, 'control-plane')
    expect([...interfaces.keys(), unsearched.length]).toEqual(['back', 1])
  })
})
