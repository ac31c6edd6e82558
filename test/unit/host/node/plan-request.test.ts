import { describe, expect, it } from 'vitest'
import { factsAfterRecovery, planRequest } from '../../../../src/host/node/plan-request.ts'
import { showPlan } from '../../../../src/host/node/plan-text.ts'
import type { Certificates } from '../../../../src/host/node/tls.ts'
import { answeringHost, guestSaid } from '../../../support/nodes/answers.ts'
import { entry, facts, guest, request } from '../../../support/nodes/site.ts'
import { checkout } from '../../../support/seeder.ts'

/** Certificates whose content is the name and address of their node. */
const certificates: Certificates = {
  etcdMember: async ({ name, addresses }) => [
    { path: '/etc/seeder/tls/etcd.crt', permissions: '0644', content: `${name} ${addresses.back}\n` },
  ],
  etcdClient: async () => [],
  kubernetesAuthority: async () => [],
}
const options = { checkout, certificates }
const silent = answeringHost(() => undefined)

/** Members as the operator's command lists them. */
const listed = (...lines: string[]) =>
  guestSaid(lines.map((line) => `${line.replace(' ', '   ')}\n`).join(''))

describe('founding a cluster of etcd', () => {
  const names = ['etcd1', 'etcd2', 'etcd3']
  const wanted = request(names, 'etcd', { newCluster: true })
  const members = names.map((name, index) => ({ name, address: `10.0.0.${129 + index}` }))

  it('gives every member the list of all, and requests certificates for their addresses', async () => {
    const { plans } = await planRequest(silent, facts(), wanted, options)
    expect(plans.map(({ entry: { founders } }) => founders?.members)).toEqual([members, members, members])
    expect(plans.map(({ files }) => files[1]?.content)).toEqual([
      'etcd1 10.0.0.129\n',
      'etcd2 10.0.0.130\n',
      'etcd3 10.0.0.131\n',
    ])
    expect(new Set(plans.map(({ values }) => values.ETCD_TOKEN)).size).toBe(1)
    expect(plans[0]?.values.ETCD_TOKEN).toMatch(/^seeder-[0-9a-f]{8}$/)
  })

  it('continues an interrupted run', async () => {
    const founders = { token: 'first', members }
    const entries = [entry('etcd1', { state: 'starting', vmid: 200, founders })]
    const { plans, waiting } = await planRequest(silent, facts({ entries }), wanted, options)
    expect(waiting).toEqual(entries)
    expect(plans.map(({ entry: { name, vmid, addresses } }) => [name, vmid, addresses.back])).toEqual([
      ['etcd2', 201, '10.0.0.130'],
      ['etcd3', 202, '10.0.0.131'],
    ])
    expect(plans[1]?.values).toMatchObject({
      ETCD_TOKEN: 'first',
      ETCD_MEMBERS: 'etcd1=10.0.0.129 etcd2=10.0.0.130 etcd3=10.0.0.131',
    })
    const other = request(['etcd1', 'etcd5'], 'etcd', { newCluster: true })
    await expect(planRequest(silent, facts({ entries }), other, options)).rejects.toMatchObject({
      message: 'etcd5 is not one of the cluster that an earlier run began to found',
      fix: 'finish that first: seeder node create etcd1 etcd2 etcd3 --role etcd --new-cluster',
    })
    const token = { ...wanted, values: { ETCD_TOKEN: 'second' } }
    await expect(planRequest(silent, facts({ entries }), token, options)).rejects.toThrow(
      'has the token first',
    )
  })

  it('is refused beside another cluster', async () => {
    const entries = [entry('etcd9')]
    await expect(planRequest(silent, facts({ entries }), wanted, options)).rejects.toThrow(
      'There is a cluster of etcd on this host already: etcd9',
    )
  })

  it('has nothing to do when all members exist', async () => {
    const entries = names.map((name, index) => entry(name, { vmid: 200 + index }))
    expect(await planRequest(silent, facts({ entries }), wanted, options)).toEqual({
      plans: [],
      waiting: [],
      done: entries,
      unsearched: [],
    })
  })
})

describe('a member that joins', () => {
  const entries = [entry('etcd1'), entry('etcd2', { vmid: 202, addresses: { back: '10.0.0.130' } })]

  it('gets the members that the cluster itself lists', async () => {
    const host = answeringHost((argv) =>
      argv.includes('202') && argv.at(-1) === 'members'
        ? listed('etcd2 10.0.0.130 a1 leader', 'old 10.0.0.140 a2 follower', '- 10.0.0.150 a3 unstarted')
        : undefined,
    )
    const { plans } = await planRequest(host, facts({ entries }), request(['etcd4'], 'etcd'), options)
    expect(plans[0]?.values).toEqual({
      ETCD_STATE: 'existing',
      ETCD_MEMBERS: 'etcd2=10.0.0.130 old=10.0.0.140 etcd4=10.0.0.131',
      NTP_SERVERS: '0.pool.ntp.org 1.pool.ntp.org 2.pool.ntp.org',
    })
    expect(plans[0]?.entry).toMatchObject({ joins: true, addresses: { back: '10.0.0.131' } })
    expect(host.commands).toContain('qm guest exec 201 --timeout 90 -- /usr/lib/seeder/etcd members')
    const { commands } = showPlan(plans[0] ?? expect.fail(), true)
    expect(commands.slice(-3).map((words) => words.join(' '))).toEqual([
      'qm guest exec 202 --timeout 330 -- /usr/lib/seeder/etcd add etcd4 10.0.0.131',
      'qm start 200',
      'qm guest exec 202 --timeout 330 -- /usr/lib/seeder/etcd promote etcd4',
    ])
  })

  it('needs a member that answers, and joins alone', async () => {
    await expect(
      planRequest(silent, facts({ entries }), request(['etcd4'], 'etcd'), options),
    ).rejects.toThrow('etcd4 has no cluster to join: no member on this host answers')
    await expect(planRequest(silent, facts(), request(['etcd4', 'etcd5'], 'etcd'), options)).rejects.toThrow(
      'A cluster of etcd takes one new member at a time',
    )
  })
})

describe('any nodes', () => {
  it('are placed at addresses that do not answer to ARP', async () => {
    const answers = ['10.0.0.75', '10.0.0.76']
    const host = answeringHost((argv) => {
      if (argv[0] === 'ping') return argv.at(-1) === answers[0] ? '' : undefined
      const reachable = argv[0] === 'ip' && argv.includes(answers[1] ?? '') ? ['REACHABLE'] : ['STALE']
      return JSON.stringify([{ dst: argv.at(-3), lladdr: 'bc:24:11:00:00:09', state: reachable }])
    })
    const { plans } = await planRequest(host, facts(), request(['w1'], 'worker'), options)
    expect(plans[0]?.entry.addresses).toEqual({ middle: '10.0.0.77' })
    expect(host.commands).toContain('ping -n -q -c 1 -W 1 -I vmbr12 10.0.0.75')
  })

  it('do not get a reserved address while another machine has it', async () => {
    const entries = [
      entry('etcd1'),
      entry('etcd4', { state: 'reserved', addresses: { back: '10.0.0.170' }, joins: true }),
    ]
    const host = answeringHost((argv) => {
      if (argv.at(-1) === 'members') return listed('etcd1 10.0.0.129 a1 leader')
      return argv[0] === 'ping' ? '' : undefined
    })
    await expect(planRequest(host, facts({ entries }), request(['etcd4'], 'etcd'), options)).rejects.toThrow(
      '10.0.0.170, which is kept for etcd4, answers: somebody else has it',
    )
  })

  it('are refused under the name of a node of another role', async () => {
    const wanted = request(['etcd1'], 'worker')
    await expect(planRequest(silent, facts({ entries: [entry('etcd1')] }), wanted, options)).rejects.toThrow(
      'etcd1 exists already, as etcd',
    )
  })

  it('are a load balancer that is alone with the VIPs, or has none of them, or a pair', async () => {
    const alone = request(['lb1'], 'haproxy')
    const { plans } = await planRequest(silent, facts(), alone, options)
    expect(plans[0]?.values).toMatchObject({
      VIP: '10.0.0.115/26 10.0.0.51/26',
      VRRP_PEERS: 'none',
      VRRP_PRIORITY: '150',
    })
    const without = await planRequest(silent, facts(), { ...alone, values: { VIP: '' } }, options)
    expect(Object.keys(without.plans[0]?.values ?? {})).toEqual(['NTP_SERVERS', 'ROUTES'])
    const pair = await planRequest(silent, facts(), request(['lb1', 'lb2'], 'haproxy'), options)
    expect(pair.plans.map(({ values }) => values.VRRP_PEERS)).toEqual(['10.0.0.106', '10.0.0.105'])
  })

  describe('whose first VIP is in a zone without a range', () => {
    const known = facts()
    const inZones = (...zones: string[]) => ({
      ...known,
      platform: {
        ...known.platform,
        vips: Object.fromEntries(
          zones.map((zone) => [
            zone,
            {
              role: 'haproxy' as const,
              zone,
              address: { home: '192.168.3.240', front: '10.0.0.51' }[zone] ?? '',
            },
          ]),
        ),
      },
    })
    const wanted = request(['lb1', 'lb2'], 'haproxy')

    it('find each other in the zone of another VIP', async () => {
      const { plans } = await planRequest(silent, inZones('home', 'front'), wanted, options)
      expect(plans.map(({ values: { VIP, VRRP_PEERS } }) => [VIP, VRRP_PEERS])).toEqual([
        ['10.0.0.51/26 192.168.3.240/24', '10.0.0.2'],
        ['10.0.0.51/26 192.168.3.240/24', '10.0.0.1'],
      ])
    })

    it('are refused with the reason where there is no other, unless it is alone', async () => {
      await expect(planRequest(silent, inZones('home'), wanted, options)).rejects.toMatchObject({
        message:
          'lb1 and lb2 cannot share the VIPs of the platform file: keepalived needs their addresses in the network of a VIP, and in the zone home nodes get theirs by DHCP',
        fix: expect.stringContaining('--set VRRP_PEERS='),
      })
      const { plans } = await planRequest(silent, inZones('home'), request(['lb1'], 'haproxy'), options)
      expect(plans[0]?.values).toMatchObject({ VIP: '192.168.3.240/24', VRRP_PEERS: 'none' })
    })
  })

  it('are refused with every value that first boot would refuse', async () => {
    const values = { BOOTSTRAP: 'join', POD_CIDR: '10.0.0.1/12', NODE_NAME: 'x' }
    await expect(
      planRequest(silent, facts(), request(['w1'], 'worker', { values }), options),
    ).rejects.toThrow('w1: NODE_NAME: is not a key of this role')
    const { NODE_NAME: _unknown, ...known } = values
    await expect(
      planRequest(silent, facts(), request(['w1'], 'worker', { values: known }), options),
    ).rejects.toThrow(/w1: POD_CIDR: .*\nw1: JOIN_TOKEN: is not set; .*\nw1: JOIN_CA_HASH: is not set/)
  })

  it.each([
    [request(['Etcd_1'], 'worker'), '"Etcd_1" is not a name for a node'],
    [request(['105'], 'worker'), '"105" is not a name'],
    [request(['../x'], 'worker'), '"../x" is not a name'],
    [request(['$(reboot)'], 'worker'), '"$(reboot)" is not a name'],
    [request(['w1', 'w1'], 'worker'), 'w1 is named twice'],
    [
      request(['w1', 'w2'], 'worker', { vmids: { first: 200, last: 200 } }),
      '2 nodes do not fit into the VM ids 200-200',
    ],
    [request(['w1'], 'worker', { newCluster: true }), '--new-cluster is for etcd, not for a worker'],
    [request(['w1'], 'worker', { dataDisk: 8 }), '--data-disk is for etcd'],
    [request(['w1'], 'worker', { storage: 'x' }), '--storage is for a full clone or a data disk'],
    [request(['w1'], 'worker', { user: 'root;' }), '"root;" is not a user\'s name'],
  ])('are refused when the request makes no sense', async (wanted, message) => {
    await expect(planRequest(silent, facts(), wanted, options)).rejects.toThrow(message)
  })
})

describe('a plan after a killed run, before the next one recovers', () => {
  it('is the plan after the recovery', async () => {
    const half = entry('w1', {
      role: 'worker',
      state: 'creating',
      vmid: 200,
      addresses: { middle: '10.0.0.75' },
    })
    const gone = entry('w2', {
      role: 'worker',
      state: 'destroying',
      vmid: 201,
      addresses: { middle: '10.0.0.76' },
    })
    const joining = entry('etcd4', { state: 'creating', vmid: 202, joins: true })
    const volumes = [{ id: 'local:200/vm-200-disk-0.raw', bytes: 1, vmid: 200 }]
    const guests = [...facts().guests, guest(200, { lock: 'clone' }), guest(201), guest(202)]
    const after = factsAfterRecovery(facts({ entries: [half, gone, joining], guests, volumes }))
    expect(after.entries).toEqual([{ ...joining, state: 'reserved' }])
    const { plans } = await planRequest(silent, after, request(['w1'], 'worker'), options)
    expect(plans[0]?.entry).toMatchObject({ vmid: 200, addresses: { middle: '10.0.0.75' } })
  })

  it('leaves a VM alone that was never cloned', () => {
    const half = entry('w1', { role: 'worker', state: 'creating', vmid: 200, cloned: false })
    const after = factsAfterRecovery(facts({ entries: [half], guests: [guest(200)] }))
    expect(after.guests).toHaveLength(1)
    expect(after.entries).toEqual([])
  })
})
