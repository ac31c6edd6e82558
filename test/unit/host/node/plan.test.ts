import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { placeNodes } from '../../../../src/host/node/placement.ts'
import { type PlanSources, planNodes } from '../../../../src/host/node/plan.ts'
import { planText, showPlan } from '../../../../src/host/node/plan-text.ts'
import type { NodeRequest } from '../../../../src/host/node/request.ts'
import { currentTemplate } from '../../../../src/host/templates.ts'
import type { Platform } from '../../../../src/platform/schema.ts'
import { entry, facts, platform, request, template } from '../../../support/nodes/site.ts'

const token = '0123456789abcdef0123456789abcdef'
const key = '-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIAbc\n-----END PRIVATE KEY-----\n'

function plan(wanted: NodeRequest, more: Partial<PlanSources> = {}, site = facts()) {
  const placements = placeNodes(site, wanted, { makeToken: () => token, answering: [] })
  const sources = {
    placements,
    peers: [],
    files: new Map(),
    cluster: undefined,
    replaces: undefined,
    ...more,
  }
  return planNodes(site, wanted, sources)
}

const argvs = (plans: ReturnType<typeof plan>) =>
  plans.map(({ prepare, start }) => [...prepare.map(({ argv }) => argv), start])

describe('the plan for a member of etcd', () => {
  const members = [1, 2, 3].map((number) => ({ name: `etcd${number}`, address: `10.0.0.${128 + number}` }))
  const files = new Map([
    ['etcd1', [{ path: '/etc/seeder/tls/etcd.key', permissions: '0600', content: key }]],
  ])
  const wanted = request(['etcd1', 'etcd2', 'etcd3'], 'etcd', {
    newCluster: true,
    sshKeys: '/root/my keys.pub',
    user: 'ops',
    dataDisk: 8,
  })
  const plans = plan(wanted, { files, cluster: { state: 'new', token: 'prod', members } })

  it('has exactly these commands', () => {
    expect(argvs(plans)[0]).toEqual([
      [
        'qm',
        'clone',
        '9001',
        '200',
        '--name',
        'etcd1',
        '--description',
        [
          'etcd etcd1, a clone of template 9001 (3.7.2-1), made by `seeder node`.',
          'It is replaced rather than changed. Without the next line Seeder does not touch it any more.',
          '',
          `seeder-node: ${token}`,
        ].join('\n'),
      ],
      [
        'qm',
        'set',
        '200',
        '--tags',
        'seeder;node;etcd',
        '--net0',
        'virtio,bridge=vmbr13,firewall=1',
        '--cores',
        '2',
        '--memory',
        '4096',
        '--onboot',
        '1',
        '--protection',
        '0',
        '--ipconfig0',
        'ip=10.0.0.129/26',
        '--nameserver',
        '9.9.9.9 149.112.112.112',
        '--ciuser',
        'ops',
        '--cicustom',
        'vendor=local:snippets/seeder-etcd1.yaml',
        '--sshkeys',
        '/root/my keys.pub',
      ],
      ['qm', 'disk', 'resize', '200', 'scsi0', '20G'],
      ['qm', 'set', '200', '--scsi1', 'local:8,discard=on,iothread=1'],
      ['qm', 'start', '200'],
    ])
  })

  it('has the effects to check of commands that do not report failures', () => {
    const [, configure, grow, disk] = plans[0]?.prepare ?? []
    expect(configure?.sets).toMatchObject({ memory: '4096', ipconfig0: 'ip=10.0.0.129/26' })
    expect(grow?.grows).toEqual({ slot: 'scsi0', bytes: 20 * 1024 ** 3 })
    expect(disk?.grows).toEqual({ slot: 'scsi1', bytes: 8 * 1024 ** 3 })
  })

  it('has exactly this vendor data', () => {
    expect(plans[0]?.snippet).toBe(
      [
        '#cloud-config',
        `# seeder-node: ${token}`,
        'write_files:',
        '  - path: /etc/seeder/node.env',
        '    permissions: "0600"',
        '    content: |',
        '      ETCD_STATE=new',
        '      ETCD_TOKEN=prod',
        '      ETCD_MEMBERS="etcd1=10.0.0.129 etcd2=10.0.0.130 etcd3=10.0.0.131"',
        '      ETCD_DATA_DISK=etcd-data',
        '      NTP_SERVERS="0.pool.ntp.org 1.pool.ntp.org 2.pool.ntp.org"',
        '  - path: /etc/seeder/tls/etcd.key',
        '    permissions: "0600"',
        '    content: |',
        ...key
          .trimEnd()
          .split('\n')
          .map((line) => `      ${line}`),
        '',
      ].join('\n'),
    )
  })

  it('gives each founder the same list, and keeps it in each entry', () => {
    expect(plans.map(({ values }) => values.ETCD_MEMBERS)).toEqual(
      Array(3).fill(plans[0]?.values.ETCD_MEMBERS),
    )
    expect(plans.map(({ entry: { vmid, founders } }) => [vmid, founders])).toEqual(
      [200, 201, 202].map((vmid) => [vmid, { token: 'prod', members }]),
    )
  })

  it('is shown without the key, and with commands that can be pasted', () => {
    const text = planText(showPlan(plans[0] ?? expect.fail(), true))
    expect(text).toContain('etcd1: etcd, VM 200, a clone of template 9001 (3.7.2-1), 10.0.0.129 (back)')
    expect(text).toContain('/var/lib/vz/snippets/seeder-etcd1.yaml, mode 0600:')
    expect(text).toContain('(a private key of 3 lines)')
    expect(text).not.toContain('MC4CAQ')
    expect(text).toContain("--sshkeys '/root/my keys.pub'")
    expect(text).toMatch(/\n {2}qm start 200$/)
    expect(planText(showPlan(plans[0] ?? expect.fail(), false))).not.toContain('qm start')
  })
})

describe('the plan for load balancers', () => {
  it('makes a pair of two: all cards in the order of the zones, VIPs, peers', () => {
    const plans = plan(request(['lb1', 'lb2'], 'haproxy'))
    expect(argvs(plans)[1]?.[1]).toEqual([
      'qm',
      'set',
      '201',
      '--tags',
      'seeder;node;haproxy',
      '--net0',
      'virtio,bridge=vmbr11,firewall=1',
      '--net1',
      'virtio,bridge=vmbr12,firewall=1',
      '--net2',
      'virtio,bridge=vmbr0,firewall=1',
      '--net3',
      'virtio,bridge=vmbr1,firewall=1',
      '--cores',
      '2',
      '--memory',
      '1024',
      '--onboot',
      '1',
      '--protection',
      '0',
      '--ipconfig0',
      'ip=10.0.0.2/26',
      '--ipconfig1',
      'ip=10.0.0.106/26',
      '--ipconfig2',
      'ip=dhcp',
      '--ipconfig3',
      'ip=dhcp',
      '--nameserver',
      '9.9.9.9 149.112.112.112',
      '--cicustom',
      'vendor=local:snippets/seeder-lb2.yaml',
    ])
    const [VIP, NTP_SERVERS] = ['10.0.0.115/26 10.0.0.51/26', '0.pool.ntp.org 1.pool.ntp.org 2.pool.ntp.org']
    const ROUTES =
      'eth0=10.0.0.0/26 eth1=10.0.0.64/26 eth2=192.168.3.0/24,dhcp,default eth3=192.168.1.0/24,dhcp'
    expect(plans.map(({ values }) => values)).toEqual([
      { VIP, VRRP_PEERS: '10.0.0.106', VRRP_PRIORITY: '150', NTP_SERVERS, ROUTES },
      { VIP, VRRP_PEERS: '10.0.0.105', VRRP_PRIORITY: '100', NTP_SERVERS, ROUTES },
    ])
  })

  it('gives a card the tag and the MTU of its zone, with one bridge for several zones', () => {
    const { front, middle } = platform.zones
    if (!front || !middle) throw new Error('the platform file has other zones')
    const zones: Platform['zones'] = {
      ...platform.zones,
      front: { ...front, bridge: 'vmbr0', vlan: 20, mtu: 1400 },
      middle: { ...middle, bridge: 'vmbr0', vlan: 30 },
    }
    const site = facts({ platform: { ...platform, zones } })
    const configure: readonly string[] = argvs(plan(request(['lb1'], 'haproxy'), {}, site))[0]?.[1] ?? []
    expect(configure.slice(configure.indexOf('--net0'), configure.indexOf('--cores'))).toEqual([
      '--net0',
      'virtio,bridge=vmbr0,tag=20,mtu=1400,firewall=1',
      '--net1',
      'virtio,bridge=vmbr0,tag=30,firewall=1',
      '--net2',
      'virtio,bridge=vmbr0,firewall=1',
      '--net3',
      'virtio,bridge=vmbr1,firewall=1',
    ])
  })

  it('names the existing control planes and workers, as far as it may', () => {
    const peers = [
      entry('cp1', { role: 'control-plane', addresses: { middle: '10.0.0.70', back: '10.0.0.140' } }),
      entry('w1', { role: 'worker', addresses: { middle: '10.0.0.80' } }),
      entry('lb1', { role: 'haproxy', addresses: { front: '10.0.0.1', middle: '10.0.0.65' } }),
    ]
    const wanted = request(['lb2'], 'haproxy', { values: { NODEPORTS: '30080' } })
    const [without] = plan(wanted, { peers })
    expect(without?.values.API_BACKENDS).toBeUndefined()
    const ca = [{ path: '/etc/seeder/trust/kubernetes-ca.crt', permissions: '0644', content: 'x\n' }]
    const [plain] = plan(wanted, { peers, files: new Map([['lb2', ca]]) })
    expect(plain?.values).toMatchObject({
      API_BACKENDS: 'cp1=10.0.0.70',
      NODEPORTS: '30080',
      NODEPORT_BACKENDS: 'w1=10.0.0.80',
      VRRP_PEERS: '10.0.0.65',
      VRRP_PRIORITY: '100',
    })
  })

  it('lets the operator remove a value', () => {
    const [one] = plan(
      request(['lb1', 'lb2'], 'haproxy', { values: { VIP: '', NTP_SERVERS: '', ROUTES: '' } }),
    )
    expect(one?.values).toEqual({})
  })
})

describe('the plan for a Kubernetes node', () => {
  it('of a control plane that begins a cluster', () => {
    const peers = [entry('etcd1'), entry('etcd2', { addresses: { back: '10.0.0.130' } })]
    const values = { BOOTSTRAP: 'init', JOIN_TOKEN: 'abcdef.0123456789abcdef' }
    const [one] = plan(request(['cp1'], 'control-plane', { values }), { peers })
    expect(one?.values).toEqual({
      NODE_ROLE: 'control-plane',
      BOOTSTRAP: 'init',
      NODE_ADDRESS: '10.0.0.65',
      CONTROL_PLANE_ENDPOINT: '10.0.0.115:6443',
      ETCD_ENDPOINTS: '10.0.0.129 10.0.0.130',
      JOIN_TOKEN: 'abcdef.0123456789abcdef',
      NTP_SERVERS: '0.pool.ntp.org 1.pool.ntp.org 2.pool.ntp.org',
    })
    expect(one?.entry.values).toEqual({ BOOTSTRAP: 'init' })
    expect(JSON.stringify(showPlan(one ?? expect.fail(), true))).not.toContain('abcdef.')
  })

  it('removes cards that only its template has', () => {
    const guests = [
      template(9003, 'kubernetes-node', {
        net1: 'virtio=BC:24:11:00:00:02,bridge=vmbr13',
        ipconfig1: 'ip=dhcp',
      }),
    ]
    const [one] = plan(request(['w1'], 'worker'), {}, facts({ guests }))
    expect(one?.prepare[1]?.argv.slice(-2)).toEqual(['--delete', 'ipconfig1,net1'])
  })

  it('leaves a disk that is large enough, and finds out its size', () => {
    const large = [template(9003, 'kubernetes-node', { scsi0: 'local:9003/base-9003-disk-0.raw,size=80G' })]
    expect(
      argvs(plan(request(['w1'], 'worker'), {}, facts({ guests: large })))[0]?.map((argv) => argv[1]),
    ).toEqual(['clone', 'set', 'start'])
    const unsaid = [template(9003, 'kubernetes-node', { scsi0: 'local:9003/base-9003-disk-0.raw' })]
    const volumes = [{ id: 'local:9003/base-9003-disk-0.raw', bytes: 1024 ** 3, vmid: 9003 }]
    expect(argvs(plan(request(['w1'], 'worker'), {}, facts({ guests: unsaid, volumes })))[0]?.[2]).toEqual([
      'qm',
      'disk',
      'resize',
      '200',
      'scsi0',
      '80G',
    ])
    expect(() => plan(request(['w1'], 'worker'), {}, facts({ guests: unsaid }))).toThrow(
      'How large the disk of template 9003 is cannot be found out',
    )
  })
})

describe('any plan', () => {
  describe('gives the default route to', () => {
    const middle = { ...platform.zones.middle, gateway: '10.0.0.126' }
    const zones = { ...platform.zones, middle }
    const lan = (named?: string) => {
      const { 'default-route': _shipped, ...haproxy } = platform.roles.haproxy
      const role = named === undefined ? haproxy : { ...haproxy, 'default-route': named }
      const roles = { ...platform.roles, haproxy: role }
      const [one] = plan(
        request(['lb1', 'lb2'], 'haproxy'),
        {},
        facts({ platform: { ...platform, zones, roles } as Platform }),
      )
      return { ipconfig1: one?.prepare[1]?.sets?.ipconfig1, routes: one?.values.ROUTES }
    }

    it('the first zone with a gateway', () => {
      expect(lan()).toEqual({
        ipconfig1: 'ip=10.0.0.105/26,gw=10.0.0.126',
        routes:
          'eth0=10.0.0.0/26 eth1=10.0.0.64/26,10.0.0.126,default eth2=192.168.3.0/24,dhcp eth3=192.168.1.0/24,dhcp',
      })
    })

    it('the zone that the role names, and keeps the gateways of the others for replies', () => {
      expect(lan('public')).toEqual({
        ipconfig1: 'ip=10.0.0.105/26',
        routes:
          'eth0=10.0.0.0/26 eth1=10.0.0.64/26,10.0.0.126 eth2=192.168.3.0/24,dhcp eth3=192.168.1.0/24,dhcp,default',
      })
    })

    it('no zone where none has a gateway', () => {
      expect(plan(request(['w1'], 'worker'))[0]?.values.ROUTES).toBeUndefined()
    })
  })

  it('enables the agent when the template has no setting for it', () => {
    const { settings, ...others } = template(9003, 'kubernetes-node')
    const silent = { ...others, settings: new Map([...settings].filter(([name]) => name !== 'agent')) }
    expect(plan(request(['w1'], 'worker'))[0]?.prepare[1]?.argv).not.toContain('--agent')
    const [one] = plan(request(['w1'], 'worker'), {}, facts({ guests: [silent] }))
    expect(one?.prepare[1]?.sets).toMatchObject({ agent: 'enabled=1' })
  })

  it('copies the disk with --full', () => {
    const [one] = plan(request(['w1'], 'worker', { full: true, storage: 'local-lvm' }))
    expect(one?.prepare[0]?.argv.slice(-4)).toEqual(['--full', '1', '--storage', 'local-lvm'])
  })

  it('keeps odd characters inside their argument and inside the YAML', () => {
    const odd = 'x\n  - path: /etc/shadow\n    content: "\u0000$(reboot)"\n---\n%TAG\t'
    const content = `${odd}\n`
    const [one] = plan(request(['w1'], 'worker', { sshKeys: '/root/$(reboot) ; .pub' }), {
      files: new Map([['w1', [{ path: '/etc/x', permissions: '0644', content }]]]),
    })
    const written = parse(one?.snippet ?? '').write_files
    expect(written).toHaveLength(2)
    expect(written[1]).toEqual({ path: '/etc/x', permissions: '0644', content })
    expect(one?.prepare[1]?.argv).toContain('/root/$(reboot) ; .pub')
  })

  it('needs a current template', () => {
    const site = facts({ guests: [] })
    expect(() => currentTemplate('etcd', 'pve1', site.guests, site.templates)).toThrow('no template of etcd')
    expect(() => plan(request(['w1'], 'worker'), {}, site)).toThrow('no template of kubernetes-node')
  })
})
