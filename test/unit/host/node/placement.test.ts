import { describe, expect, it } from 'vitest'
import {
  nextFreeAddress,
  nextFreeVmid,
  placeNodes,
  takenAddresses,
} from '../../../../src/host/node/placement.ts'
import { parseVmidRange } from '../../../../src/host/node/request.ts'
import { entry, facts, guest, platform, request } from '../../../support/nodes/site.ts'

const options = { makeToken: () => 'f'.repeat(32), answering: [] }
const back = platform.zones.back ?? { title: '', bridge: '', cidr: '' }

describe('addresses in use', () => {
  it('are those of guests, entries, founders, VIPs, hosts, gateways and DNS servers', () => {
    const guests = [
      guest(300, { ipconfig0: 'ip=10.0.0.129/26,gw=10.0.0.190' }),
      guest(301, { net0: 'name=eth0,bridge=vmbr13,ip=10.0.0.130/26' }, { kind: 'lxc' }),
    ]
    const founders = { token: 't', members: [{ name: 'etcd9', address: '10.0.0.131' }] }
    const taken = takenAddresses(platform, guests, [
      entry('etcd1', { addresses: { back: '10.0.0.132' }, founders }),
    ])
    expect(Object.fromEntries(taken)).toEqual({
      '192.168.3.61': 'the host in zone home',
      '192.168.1.253': 'the host in zone public',
      '10.0.0.115': 'VIP api',
      '10.0.0.51': 'VIP edge',
      '9.9.9.9': 'a DNS server',
      '149.112.112.112': 'a DNS server',
      '10.0.0.129': 'VM 300',
      '10.0.0.190': 'VM 300',
      '10.0.0.130': 'container 301',
      '10.0.0.131': 'node etcd9',
      '10.0.0.132': 'node etcd1',
    })
    expect(nextFreeAddress('back', back, taken.keys())).toBe('10.0.0.133')
  })

  it('leave a gap, which is used first, until the range is full', () => {
    const all = Array.from({ length: 50 }, (_, index) => `10.0.0.${129 + index}`)
    const hole = all.filter((address) => address !== '10.0.0.150')
    expect(nextFreeAddress('back', back, hole)).toBe('10.0.0.150')
    expect(() => nextFreeAddress('back', back, all)).toThrow(
      'Zone back has no address left in 10.0.0.129-10.0.0.178',
    )
    expect(nextFreeAddress('back', back, ['10.0.0.128', '10.0.0.179', '10.0.0.2'])).toBe('10.0.0.129')
  })
})

describe('VM ids', () => {
  const range = { first: 200, last: 203 }

  it('are assigned lowest first, without those of guests of any node, entries, and leftover disks', () => {
    const guests = [guest(200, {}, { node: 'pve2' })]
    const volumes = [{ id: 'local:202/vm-202-disk-7.raw', bytes: 1, vmid: 202 }]
    expect(nextFreeVmid(range, guests, [{ vmid: 201 }], volumes)).toBe(203)
    expect(() => nextFreeVmid(range, guests, [{ vmid: 201 }, { vmid: 203 }], volumes)).toThrow(
      'No VM id from 200 to 203 is free',
    )
  })

  it('name the holder of a requested one', () => {
    const one = { first: 202, last: 202 }
    const volumes = [{ id: 'local:202/vm-202-disk-7.raw', bytes: 1, vmid: 202 }]
    expect(() => nextFreeVmid(one, [guest(202)], [], [])).toThrow('VM id 202 is taken by a VM on pve1')
    expect(() => nextFreeVmid(one, [], [], volumes)).toThrow('taken by the disk local:202/vm-202-disk-7.raw')
    expect(() => nextFreeVmid(one, [], [{ vmid: 202 }], [])).toThrow('taken by a node that is being made')
  })

  it('are written as a range or a number', () => {
    expect(parseVmidRange('200-299')).toEqual({ first: 200, last: 299 })
    expect(parseVmidRange('4711')).toEqual({ first: 4711, last: 4711 })
    for (const bad of ['99-200', '300-200', '200-', 'x', '200-299;reboot', '']) {
      expect(() => parseVmidRange(bad)).toThrow('is not a range of VM ids')
    }
  })
})

describe('the placement of nodes', () => {
  it('is one after the other, in the zones of their role that have a range', () => {
    expect(placeNodes(facts(), request(['lb1', 'lb2'], 'haproxy'), options)).toEqual([
      {
        name: 'lb1',
        vmid: 200,
        token: 'f'.repeat(32),
        addresses: { front: '10.0.0.1', middle: '10.0.0.105' },
      },
      {
        name: 'lb2',
        vmid: 201,
        token: 'f'.repeat(32),
        addresses: { front: '10.0.0.2', middle: '10.0.0.106' },
      },
    ])
  })

  it('skips addresses that answer', () => {
    const [placement] = placeNodes(facts(), request(['w1'], 'worker'), {
      ...options,
      answering: ['10.0.0.75'],
    })
    expect(placement?.addresses).toEqual({ middle: '10.0.0.76' })
  })

  it('uses the address that the founders of the cluster have', () => {
    const members = [1, 2, 3].map((number) => ({ name: `etcd${number}`, address: `10.0.0.${140 + number}` }))
    const entries = [
      entry('etcd1', {
        state: 'starting',
        addresses: { back: '10.0.0.141' },
        founders: { token: 't', members },
      }),
    ]
    const names = ['etcd1', 'etcd3']
    const placed = placeNodes(facts({ entries }), request(names, 'etcd'), options)
    expect(placed.find(({ name }) => name === 'etcd3')?.addresses).toEqual({ back: '10.0.0.143' })
  })

  it('uses the address that an entry reserves', () => {
    const entries = [
      entry('etcd4', { state: 'reserved', addresses: { back: '10.0.0.170' }, token: 'b'.repeat(32) }),
    ]
    const [placement] = placeNodes(facts({ entries }), request(['etcd4'], 'etcd'), options)
    expect(placement).toMatchObject({ token: 'b'.repeat(32), addresses: { back: '10.0.0.170' }, vmid: 200 })
  })

  it('is refused when another VM has the name', () => {
    const guests = [...facts().guests, guest(105, { name: 'w1' }, { node: 'pve2' })]
    expect(() => placeNodes(facts({ guests }), request(['w1'], 'worker'), options)).toThrow(
      'There is a VM of the name w1 already: 105 on pve2',
    )
  })

  it('is refused when two nodes need the last address', () => {
    const range = { first: '10.0.0.65', last: '10.0.0.65' }
    const middle = { title: 'Middle', bridge: 'vmbr12', cidr: '10.0.0.64/26', range }
    const worker = { ...platform.roles.worker, addresses: {} }
    const zones = { ...platform.zones, middle }
    const small = { ...platform, zones, roles: { ...platform.roles, worker } }
    expect(() => placeNodes(facts({ platform: small }), request(['w1', 'w2'], 'worker'), options)).toThrow(
      'Zone middle has no address left in 10.0.0.65',
    )
  })
})
