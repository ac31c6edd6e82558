import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { Node } from '../../support/first-boot/node.ts'

const certificate = '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n'
const api = 'API_BACKENDS="cp1=10.0.0.66"'
const nodePorts = 'NODEPORTS=30080\nNODEPORT_BACKENDS=w1=10.0.0.70'
const vip = 'VIP=10.0.0.51/26\nVRRP_PEERS=10.0.0.3'

let node: Node
beforeEach(async () => {
  node = await Node.make()
  await node.write('/etc/seeder/trust/kubernetes-ca.crt', certificate)
})
afterEach(() => node.dispose())

const notIpv4 = [
  '10.0.0.700',
  '10.0.0',
  '10.0.0.01',
  '127.0.0.1',
  '0.0.0.0',
  '239.1.1.1',
  'cp1',
  'fd00::1',
  '',
]

/** What is written in node.env, and what first boot says about it. */
const badValues: [title: string, nodeEnv: string, message: string][] = [
  // The file itself.
  ['not KEY=value', 'hello', 'line 1: is not KEY=value: "hello"'],
  ['a command', 'NODEPORTS=30080\n. /etc/passwd', 'line 2: is not KEY=value: ". /etc/passwd"'],
  ['export', 'export VIP=10.0.0.51/26', 'line 1: is not KEY=value: "export VIP=10.0.0.51/26"'],
  [
    'Windows line ends',
    `${nodePorts.replaceAll('\n', '\r\n')}\r\n`,
    'line 1: has a character that is not printable ASCII (perhaps a Windows line end)',
  ],
  ['an open quote', 'NODEPORTS="30080', 'NODEPORTS: has a quote or a backslash in its value (line 1)'],
  ['an escape', 'NODEPORTS="30080\\n"', 'NODEPORTS: has a quote or a backslash in its value (line 1)'],
  [
    'an unknown key',
    'NODEPORT=30080',
    'NODEPORT: is not a key of this role; it has: API_BACKENDS API_VERIFY_HOST NODEPORTS NODEPORT_BACKENDS NODEPORT_CHECK VIP VRRP_PRIORITY VRRP_ROUTER_ID VRRP_PEERS NTP_SERVERS ROUTES',
  ],
  [
    'a key in lower case',
    'vip=10.0.0.51/26',
    'vip: is not a key of this role; it has: API_BACKENDS API_VERIFY_HOST NODEPORTS NODEPORT_BACKENDS NODEPORT_CHECK VIP VRRP_PRIORITY VRRP_ROUTER_ID VRRP_PEERS NTP_SERVERS ROUTES',
  ],
  ['a key twice', 'VRRP_PRIORITY=1\n\nVRRP_PRIORITY=2', 'VRRP_PRIORITY: is set twice, in line 1 and line 3'],
  [
    'a long value',
    `${nodePorts}\nNTP_SERVERS=${'_'.repeat(80)}`,
    `NTP_SERVERS: "${'_'.repeat(60)}…" is neither a DNS name nor an IPv4 address`,
  ],
  // The API.
  ['a server without a name', 'API_BACKENDS="10.0.0.66"', 'API_BACKENDS: "10.0.0.66" is not NAME=ADDRESS'],
  [
    'a server with a bad name',
    'API_BACKENDS="cp_1=10.0.0.66"',
    'API_BACKENDS: "cp_1=10.0.0.66" is not NAME=ADDRESS',
  ],
  [
    'commas in a list',
    'API_BACKENDS="cp1=10.0.0.66,cp2=10.0.0.67"',
    'API_BACKENDS: "10.0.0.66,cp2=10.0.0.67" of cp1 is not an IPv4 address',
  ],
  ['port 0', 'API_BACKENDS="cp1=10.0.0.66:0"', 'API_BACKENDS: "0" of cp1 is not a port (1-65535)'],
  [
    'port 65536',
    'API_BACKENDS="cp1=10.0.0.66:65536"',
    'API_BACKENDS: "65536" of cp1 is not a port (1-65535)',
  ],
  ['a server twice', 'API_BACKENDS="cp1=10.0.0.66 cp1=10.0.0.67"', 'API_BACKENDS: has cp1 twice'],
  [
    'an address twice',
    'API_BACKENDS="cp1=10.0.0.66 cp2=10.0.0.66:6443"',
    'API_BACKENDS: has the address 10.0.0.66:6443 twice',
  ],
  ['a bad verify host', `${api}\nAPI_VERIFY_HOST=-`, 'API_VERIFY_HOST: "-" is not a DNS name'],
  [
    'a verify host for nothing',
    'API_VERIFY_HOST=kubernetes',
    'API_VERIFY_HOST: is set, but API_BACKENDS is not',
  ],
  // NodePorts.
  [
    'a port by name',
    'NODEPORTS=http\nNODEPORT_BACKENDS=w1=10.0.0.70',
    'NODEPORTS: "http" is not a port (1-65535)',
  ],
  [
    'a range of ports',
    'NODEPORTS=30000-30002\nNODEPORT_BACKENDS=w1=10.0.0.70',
    'NODEPORTS: "30000-30002" is not a port (1-65535)',
  ],
  ['ssh’s port', 'NODEPORTS=22\nNODEPORT_BACKENDS=w1=10.0.0.70', 'NODEPORTS: 22 is taken by ssh'],
  [
    'the API’s port',
    'NODEPORTS=6443\nNODEPORT_BACKENDS=w1=10.0.0.70',
    'NODEPORTS: 6443 is taken by the Kubernetes API',
  ],
  [
    'the metrics’ port',
    'NODEPORTS=8405\nNODEPORT_BACKENDS=w1=10.0.0.70',
    'NODEPORTS: 8405 is taken by the metrics',
  ],
  [
    'a port twice',
    'NODEPORTS="30080 30080"\nNODEPORT_BACKENDS=w1=10.0.0.70',
    'NODEPORTS: 30080 is taken by another of them',
  ],
  ['ports without workers', 'NODEPORTS=30080', 'NODEPORTS: is set, but NODEPORT_BACKENDS is not'],
  [
    'workers without ports',
    'NODEPORT_BACKENDS=w1=10.0.0.70',
    'NODEPORT_BACKENDS: is set, but NODEPORTS is not',
  ],
  [
    'a worker with a port',
    'NODEPORTS=30080\nNODEPORT_BACKENDS=w1=10.0.0.70:80',
    'NODEPORT_BACKENDS: "10.0.0.70:80" of w1 is not an IPv4 address',
  ],
  [
    'a bad check port',
    `${nodePorts}\nNODEPORT_CHECK=0`,
    'NODEPORT_CHECK: "0" is not a number from 1 to 65535',
  ],
  ['a check port for nothing', 'NODEPORT_CHECK=10256', 'NODEPORT_CHECK: is set, but NODEPORTS is not'],
  // VIPs.
  [
    'a VIP without prefix',
    'VIP=10.0.0.51\nVRRP_PEERS=10.0.0.3',
    'VIP: "10.0.0.51" is not an IPv4 address with the prefix length of its network (8-30)',
  ],
  [
    'a VIP with /32',
    'VIP=10.0.0.51/32\nVRRP_PEERS=10.0.0.3',
    'VIP: "10.0.0.51/32" is not an IPv4 address with the prefix length of its network (8-30)',
  ],
  [
    'a network as VIP',
    'VIP=10.0.0.0/26\nVRRP_PEERS=10.0.0.3',
    "VIP: 10.0.0.0/26 is the network's own or its broadcast address",
  ],
  [
    'a broadcast address as VIP',
    'VIP=10.0.0.63/26\nVRRP_PEERS=10.0.0.3',
    "VIP: 10.0.0.63/26 is the network's own or its broadcast address",
  ],
  // What is no address takes part in no arithmetic, and is no index.
  ...[
    '/26',
    '/',
    '@/26',
    '10.0.0/26',
    '10.0.0.08/26',
    '10.0.0.51/026',
    '10.0.0.51/99',
    '10.0.0.51/26/1',
    'lb',
  ].map((word): [string, string, string] => [
    `the VIP ${word}`,
    `VIP=${word}\nVRRP_PEERS=10.0.0.3`,
    `VIP: "${word}" is not an IPv4 address with the prefix length of its network (8-30)`,
  ]),
  ['a pattern for files', 'NTP_SERVERS=*', 'NTP_SERVERS: has a *, a ? or a [ in its value (line 1)'],
  [
    'a route that is none',
    'ROUTES=eth0',
    'ROUTES: "eth0" is not CARD=NETWORK, CARD=NETWORK,GATEWAY or CARD=NETWORK,dhcp, with ,default for one',
  ],
  [
    'a gateway that is none',
    'ROUTES=eth0=10.0.0.0/26,10.0.0.700',
    'ROUTES: "10.0.0.700" of eth0 is not an IPv4 address',
  ],
  ['a card twice', 'ROUTES="eth0=10.0.0.0/26 eth0=10.0.0.64/26"', 'ROUTES: has eth0 twice'],
  [
    'two default routes',
    'ROUTES="eth0=10.0.0.0/26,dhcp,default eth1=10.0.0.64/26,dhcp,default"',
    'ROUTES: gives the default route to eth0 and to eth1',
  ],
  [
    'a default route without a gateway',
    'ROUTES=eth0=10.0.0.0/26,default',
    'ROUTES: eth0 is to have the default route, and has no gateway',
  ],
  ['a VIP twice', 'VIP="10.0.0.51/26 10.0.0.51/26"\nVRRP_PEERS=10.0.0.3', 'VIP: has 10.0.0.51 twice'],
  ['a VIP without peers', 'VIP=10.0.0.51/26', 'VIP: is set, but VRRP_PEERS is not'],
  [
    'a VIP elsewhere',
    'VIP=192.168.3.51/24\nVRRP_PEERS=192.168.3.3',
    'VIP: this machine has no address in the network of 192.168.3.51/24; it has: eth0=10.0.0.11/26 eth1=10.0.0.75/26',
  ],
  ['peers for nothing', 'VRRP_PEERS=10.0.0.3', 'VRRP_PEERS: is set, but VIP is not'],
  [
    'a peer that is no address',
    'VIP=10.0.0.51/26\nVRRP_PEERS=lb2',
    'VRRP_PEERS: "lb2" is not an IPv4 address',
  ],
  [
    'a peer in another network',
    'VIP=10.0.0.51/26\nVRRP_PEERS=10.0.0.76',
    'VRRP_PEERS: 10.0.0.76 is not in the network of the (first) VIP, 10.0.0.51/26',
  ],
  [
    'itself as peer',
    'VIP=10.0.0.51/26\nVRRP_PEERS=10.0.0.11',
    "VRRP_PEERS: has 10.0.0.11, which is this machine; it takes the other's address",
  ],
  ['priority 255', `${vip}\nVRRP_PRIORITY=255`, 'VRRP_PRIORITY: "255" is not a number from 1 to 254'],
  [
    'a priority that is octal',
    `${vip}\nVRRP_PRIORITY=0100`,
    'VRRP_PRIORITY: "0100" is not a number from 1 to 254',
  ],
  ['a priority for nothing', 'VRRP_PRIORITY=100', 'VRRP_PRIORITY: is set, but VIP is not'],
  ['router id 256', `${vip}\nVRRP_ROUTER_ID=256`, 'VRRP_ROUTER_ID: "256" is not a number from 1 to 255'],
  // Time.
  [
    'a bad time server',
    'NTP_SERVERS="ntp.example.internal 10.0.0.700"',
    'NTP_SERVERS: "10.0.0.700" is neither a DNS name nor an IPv4 address',
  ],
  ...notIpv4.map((address): [string, string, string] => [
    `the address "${address}"`,
    `API_BACKENDS="cp1=${address}"`,
    address === 'fd00::1'
      ? 'API_BACKENDS: "fd00:" of cp1 is not an IPv4 address'
      : `API_BACKENDS: "${address}" of cp1 is not an IPv4 address`,
  ]),
]

describe('a bad value is named with its reason, on the console and in the status', () => {
  test.each(badValues)('%s', async (_, nodeEnv, message) => {
    await node.write('/etc/seeder/node.env', nodeEnv)
    const { exitCode, console, status } = await node.boot()
    expect(console).toContain(`seeder-first-boot: ${message}`)
    expect(console.join('\n')).not.toContain('ready')
    expect(status).toMatchObject({ image: 'haproxy', role: 'haproxy', state: 'failed' })
    expect(status.reason).toContain(message)
    expect(exitCode).toBe(1)
  })

  test('all of them, not only the first', async () => {
    await node.write('/etc/seeder/node.env', 'NODEPORTS=0\nVIP=x\nNTP_SERVERS=_')
    const { console, status } = await node.boot()
    expect(console).toEqual([
      'seeder-first-boot: NTP_SERVERS: "_" is neither a DNS name nor an IPv4 address',
      'seeder-first-boot: NODEPORTS: "0" is not a port (1-65535)',
      'seeder-first-boot: NODEPORTS: is set, but NODEPORT_BACKENDS is not',
      'seeder-first-boot: VIP: is set, but VRRP_PEERS is not',
      'seeder-first-boot: VIP: "x" is not an IPv4 address with the prefix length of its network (8-30)',
    ])
    expect(status.reason.split('; ')).toHaveLength(5)
  })
})

describe('whatever ends first boot, its status says so', () => {
  const role = '/made/usr/lib/seeder/role'
  const ended = 'first-boot: it ended before it was done: see journalctl -u seeder-first-boot'

  test.each([
    ['an error that is the shell’s own', 'role_check() { echo "$nobody_sets_this"; }', ended],
    ['an exit', 'role_check() { exit 0; }', ended],
    ['a role that is no script', 'role_check() {', ended],
    ['a signal', 'role_check() { kill -TERM $$; }', ended],
  ])('%s', async (_, script, reason) => {
    await node.write(role, `role_name=haproxy role_keys=()\n${script}\n`)
    const { status, console } = await node.boot(true)
    expect(status).toMatchObject({ state: 'failed', reason })
    expect(console.at(-1)).toBe(`seeder-first-boot: ${reason}`)
  })

  test('also when it cannot say so itself', async () => {
    await node.write(role, 'role_name=haproxy role_keys=()\nrole_check() { kill -KILL $$; }\n')
    expect((await node.boot(true)).status.state).toBe('pending')
    const { stdout } = await node.enter(
      '/bin/bash',
      '-c',
      'SERVICE_RESULT=oom-kill /usr/lib/seeder/first-boot ended; /usr/lib/seeder/status',
    )
    expect(JSON.parse(stdout.split('\n').at(-1) ?? '')).toMatchObject({
      state: 'failed',
      reason: 'first-boot: it was ended (oom-kill): see journalctl -u seeder-first-boot',
    })
  })
})

describe('the cluster’s CA', () => {
  const file = '/etc/seeder/trust/kubernetes-ca.crt'
  test.each([
    ['is missing', undefined, `API_BACKENDS: is set, but there is no ${file} to check the API servers with`],
    ['is no certificate', 'hello\n', `API_BACKENDS: ${file} has no certificate (PEM) in it`],
    [
      'comes with its key',
      `${certificate}-----BEGIN EC PRIVATE KEY-----\n`,
      `API_BACKENDS: ${file} has a private key in it; it must be the CA's certificate alone`,
    ],
  ])('%s', async (_, content, message) => {
    await node.remove(file)
    if (content !== undefined) await node.write(file, content)
    await node.write('/etc/seeder/node.env', api)
    const { console, exitCode } = await node.boot()
    expect(console).toEqual([`seeder-first-boot: ${message}`])
    expect(exitCode).toBe(1)
  })
})

describe('nothing is changed by a bad value', () => {
  test('at the first boot: no configuration, no service', async () => {
    await node.write('/etc/seeder/node.env', `${nodePorts}\nVIP=bad`)
    const { calls } = await node.boot()
    expect(calls).toEqual([])
    expect(await node.read('/etc/haproxy/conf.d/seeder.cfg')).toBeUndefined()
    expect(await node.read('/var/lib/seeder/first-boot.done')).toBeUndefined()
  })

  test('in a node that serves: its configuration stays, nothing is reloaded', async () => {
    await node.write('/etc/seeder/node.env', `${nodePorts}\n${vip}`)
    await node.boot()
    const before = [
      await node.read('/etc/haproxy/conf.d/seeder.cfg'),
      await node.read('/etc/keepalived/keepalived.conf'),
    ]
    await node.write('/etc/seeder/node.env', `${nodePorts}0\n${vip}`)
    const { calls, status } = await node.run()
    expect(status.state).toBe('failed')
    expect(calls).toEqual([])
    expect([
      await node.read('/etc/haproxy/conf.d/seeder.cfg'),
      await node.read('/etc/keepalived/keepalived.conf'),
    ]).toEqual(before)
  })
})

describe('what the services’ own checkers refuse', () => {
  test('HAProxy: the old configuration stays, and keepalived is left alone', async () => {
    await node.write('/etc/seeder/node.env', nodePorts)
    await node.boot()
    const before = await node.read('/etc/haproxy/conf.d/seeder.cfg')
    await node.write('/etc/seeder/node.env', `${nodePorts} w2=10.0.0.71\n${vip}`)
    await node.write('/var/haproxy-refuses', '[NOTICE] hm\n[ALERT] (1) : line 3: no\n[ALERT] (1) : fatal\n')
    const { console, calls, exitCode } = await node.run()
    expect(console).toEqual([
      'seeder-first-boot: haproxy: does not accept its configuration: [ALERT] (1) : line 3: no',
    ])
    expect(exitCode).toBe(1)
    expect(calls.filter((call) => !call.startsWith('haproxy '))).toEqual([])
    expect(await node.read('/etc/haproxy/conf.d/seeder.cfg')).toBe(before)
    expect(await node.read('/etc/haproxy/conf.d/seeder.cfg.new')).toBeUndefined()
  })

  test('keepalived: HAProxy serves, no VIP is taken', async () => {
    await node.write('/etc/seeder/node.env', `${nodePorts}\n${vip}`)
    await node.write('/var/keepalived-refuses', '(vips) bad\n')
    const { console, calls, exitCode } = await node.boot()
    expect(console).toEqual(['seeder-first-boot: keepalived: does not accept its configuration: (vips) bad'])
    expect(exitCode).toBe(1)
    expect(calls).toContain('reload-or-restart haproxy.service')
    expect(calls.join('\n')).not.toContain('keepalived.service')
    expect(await node.read('/etc/keepalived/keepalived.conf')).toBeUndefined()
  })

  test('a service that does not start', async () => {
    await node.write('/etc/seeder/node.env', nodePorts)
    await node.write('/var/broken', 'haproxy.service\n')
    const { status, exitCode } = await node.boot()
    expect(status).toMatchObject({
      state: 'failed',
      reason: 'haproxy: did not start: see journalctl -u haproxy',
    })
    expect(exitCode).toBe(1)
  })

  test('a service that starts and dies', async () => {
    await node.write('/etc/seeder/node.env', `${nodePorts}\n${vip}`)
    await node.write('/var/haproxy-is-silent', '')
    const { status, calls } = await node.boot()
    expect(status).toMatchObject({
      state: 'failed',
      reason: 'haproxy: was started, but does not answer: see journalctl -u haproxy',
    })
    expect(calls.join('\n')).not.toContain('keepalived')
  })
})
