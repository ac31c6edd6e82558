import { afterEach, beforeEach, expect, test } from 'vitest'
import { Node, twoCards } from '../../support/first-boot/node.ts'

const certificate = '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n'
const nodeEnv = `# the pair of the edge
API_BACKENDS="cp1=10.0.0.66 cp2=10.0.0.67:7443"
NODEPORTS='30080 30443'

NODEPORT_BACKENDS=w1=10.0.0.70 w2=10.0.0.71
VIP="10.0.0.51/26 10.0.0.115/26"
VRRP_PRIORITY=150
VRRP_PEERS=10.0.0.12
NTP_SERVERS="10.0.0.1 ntp.example.internal"
`

const haproxyConfig = '/etc/haproxy/conf.d/seeder.cfg'
const keepalivedConfig = '/etc/keepalived/keepalived.conf'
const timesyncdConfig = '/etc/systemd/timesyncd.conf.d/seeder.conf'

let node: Node
beforeEach(async () => {
  node = await Node.make()
  await node.write('/etc/seeder/trust/kubernetes-ca.crt', certificate)
})
afterEach(() => node.dispose())

test('without a node.env the node is healthy, and reports that it has nothing to do', async () => {
  const { exitCode, console, calls, status } = await node.boot()
  expect(exitCode).toBe(0)
  const reason = 'not configured: no API_BACKENDS, NODEPORTS or VIP in /etc/seeder/node.env'
  expect(console).toEqual([`seeder-first-boot: ready: ${reason}`])
  expect(status).toEqual({
    image: 'haproxy',
    version: 'haproxy-3.0.11-1',
    role: 'haproxy',
    state: 'ready',
    reason,
  })
  expect(calls.at(-1)).toBe('reload-or-restart haproxy.service')
  expect(await node.read('/var/lib/seeder/first-boot.done')).toBe('haproxy haproxy-3.0.11-1\n')
})

test('before first boot the status is pending', async () => {
  const { stdout, exitCode } = await node.enter('/usr/lib/seeder/status')
  expect(JSON.parse(stdout)).toMatchObject({ image: 'haproxy', state: 'pending' })
  expect(exitCode).toBe(2)
})

test('routes are written for the cards, and taken away again', async () => {
  const routes = 'ROUTES="eth0=10.0.0.0/26 eth1=10.0.0.64/26,10.0.0.126 eth2=192.168.3.0/24,dhcp,default"\n'
  await node.write('/etc/seeder/node.env', routes)
  expect((await node.boot()).calls).toContain('networkctl reload')
  expect(await node.read('/etc/seeder/routes')).toBe(
    'eth0 10.0.0.0/26 - no\neth1 10.0.0.64/26 10.0.0.126 no\neth2 192.168.3.0/24 _dhcp4 yes\n',
  )
  expect(await node.boot()).toMatchObject({
    status: { state: 'ready' },
    calls: expect.not.arrayContaining(['networkctl reload']),
  })
  await node.write('/etc/seeder/node.env', '')
  expect((await node.boot()).calls).toContain('networkctl reload')
  expect(await node.read('/etc/seeder/routes')).toBeUndefined()
})

test('with a default route on another card as well a machine is not ready', async () => {
  await node.write('/etc/seeder/node.env', 'ROUTES="eth0=10.0.0.0/26 eth2=192.168.3.0/24,dhcp,default"\n')
  await node.write('/var/default-routes', 'default via 192.168.3.1 dev eth2 proto dhcp\n')
  expect((await node.boot()).status).toMatchObject({ state: 'ready' })
  await node.write(
    '/var/default-routes',
    'default via 10.0.0.62 dev eth0\ndefault via 192.168.3.1 dev eth2\n',
  )
  expect((await node.boot()).status).toMatchObject({
    state: 'failed',
    reason:
      'ROUTES: gives the default route to eth2, and there is another one: "default via 10.0.0.62 dev eth0"; ' +
      'remove that gateway from the drive',
  })
})

test('a load balancer that is alone takes the VIPs without peers', async () => {
  await node.write('/etc/seeder/node.env', 'VIP=10.0.0.51/26\nVRRP_PEERS=none\n')
  const { status } = await node.boot()
  expect(status).toMatchObject({ state: 'ready', reason: 'VIP 10.0.0.51/26' })
  const text = await node.read(keepalivedConfig)
  expect(text).toContain('virtual_ipaddress {\n        10.0.0.51/26 dev eth0\n')
  expect(text).not.toMatch(/unicast|none/)
  expect((await node.read('/etc/seeder/vrrp-peers'))?.trim()).toBe('')
})

test('a complete configuration is checked, installed and started, the VIPs last', async () => {
  await node.write('/etc/seeder/node.env', nodeEnv)
  const { exitCode, console, calls } = await node.boot()
  expect(console).toEqual([
    'seeder-first-boot: ready: API of 2 servers, NodePorts 30080 30443 of 2 workers, VIP 10.0.0.51/26 10.0.0.115/26',
  ])
  expect(exitCode).toBe(0)
  expect(calls).toEqual([
    '--no-block try-restart systemd-timesyncd.service',
    'haproxy -c -f /etc/haproxy/haproxy.cfg -f /etc/haproxy/conf.d/seeder.cfg.new',
    'reload-or-restart haproxy.service',
    'reload-or-restart seeder-firewall.service',
    'keepalived --config-test --use-file=/etc/keepalived/keepalived.conf.new',
    'reload-or-restart keepalived.service',
  ])
  expect(await node.read(timesyncdConfig)).toContain('[Time]\nNTP=10.0.0.1 ntp.example.internal\n')
})

test('API servers are checked by certificate and name, workers by kube-proxy’s health port', async () => {
  await node.write('/etc/seeder/node.env', nodeEnv)
  await node.boot()
  expect(await node.read(haproxyConfig)).toBe(`\
# Written by seeder-first-boot from /etc/seeder/node.env: changes here are lost at the next boot.

listen api
	bind *:6443
	balance roundrobin
	option httpchk
	http-check connect ssl sni kubernetes alpn http/1.1
	http-check send meth GET uri /readyz ver HTTP/1.1 hdr Host kubernetes
	http-check expect status 200
	default-server check verify required verifyhost kubernetes ca-file /etc/seeder/trust/kubernetes-ca.crt on-marked-down shutdown-sessions
	server cp1 10.0.0.66:6443
	server cp2 10.0.0.67:7443

backend workers
	option httpchk GET /healthz
	http-check expect status 200
	server w1 10.0.0.70:10256 check
	server w2 10.0.0.71:10256 check

listen nodeport-30080
	bind *:30080
	balance roundrobin
	server w1 10.0.0.70:30080 track workers/w1
	server w2 10.0.0.71:30080 track workers/w2

listen nodeport-30443
	bind *:30443
	balance roundrobin
	server w1 10.0.0.70:30443 track workers/w1
	server w2 10.0.0.71:30443 track workers/w2
`)
})

test('another name to verify and another port to check', async () => {
  await node.write(
    '/etc/seeder/node.env',
    `${nodeEnv}API_VERIFY_HOST=api.example.internal\nNODEPORT_CHECK=10300\n`,
  )
  await node.boot()
  const config = await node.read(haproxyConfig)
  expect(config).toContain('sni api.example.internal alpn')
  expect(config).toContain('verifyhost api.example.internal ')
  expect(config).toContain('server w1 10.0.0.70:10300 check')
  expect(config).not.toContain(' kubernetes ')
})

test('each VIP is on the card of its network; a holder does not give it back', async () => {
  await node.write('/etc/seeder/node.env', nodeEnv)
  await node.boot()
  const config = await node.read(keepalivedConfig)
  expect(await node.read('/etc/seeder/vrrp-peers')).toBe('10.0.0.12\n')
  for (const part of [
    '    unicast_src_ip 10.0.0.11\n',
    '    nopreempt\n    interface eth0\n    virtual_router_id 51\n    priority 150\n',
    '    check_unicast_src\n    unicast_peer {\n        10.0.0.12\n    }\n',
    '    virtual_ipaddress {\n        10.0.0.51/26 dev eth0\n        10.0.0.115/26 dev eth1\n    }\n',
    '    track_interface {\n        eth1\n    }\n',
  ]) {
    expect(config).toContain(part)
  }
})

test('a VIP that the node holds already is not used as its own address', async () => {
  await node.write('/var/addresses', `2: eth0    inet 10.0.0.51/26 scope global eth0\n${twoCards}`)
  await node.write('/etc/seeder/node.env', nodeEnv)
  await node.boot()
  expect(await node.read(keepalivedConfig)).toContain('unicast_src_ip 10.0.0.11\n')
})

test('at the next boot with the same values services are started, nothing is written or checked again', async () => {
  await node.write('/etc/seeder/node.env', nodeEnv)
  await node.boot()
  const { calls, status } = await node.boot()
  expect(calls).toEqual(['start haproxy.service', 'start keepalived.service'])
  expect(status.state).toBe('ready')
})

test('a changed value reloads its services', async () => {
  await node.write('/etc/seeder/node.env', nodeEnv)
  await node.boot()
  await node.write('/etc/seeder/node.env', nodeEnv.replace('w2=10.0.0.71', 'w3=10.0.0.72'))
  const { calls } = await node.run()
  expect(calls).toEqual([
    'haproxy -c -f /etc/haproxy/haproxy.cfg -f /etc/haproxy/conf.d/seeder.cfg.new',
    'reload-or-restart haproxy.service',
    'start keepalived.service',
  ])
  expect(await node.read(haproxyConfig)).toContain('server w3 10.0.0.72:30080 track workers/w3')
})

test('removed values remove their configuration', async () => {
  await node.write('/etc/seeder/node.env', nodeEnv)
  await node.boot()
  await node.write('/etc/seeder/node.env', 'API_BACKENDS=""\n')
  const { calls } = await node.run()
  expect(calls).toContain('stop keepalived.service')
  expect(await node.read(keepalivedConfig)).toBeUndefined()
  expect(await node.read(timesyncdConfig)).toBeUndefined()
  expect(await node.read(haproxyConfig)).not.toContain('server')
})

test('further files of the operator are checked with ours', async () => {
  await node.write('/etc/haproxy/conf.d/extra.cfg', 'frontend extra\n')
  const { calls } = await node.boot()
  expect(calls[0]).toBe(
    'haproxy -c -f /etc/haproxy/haproxy.cfg -f /etc/haproxy/conf.d/extra.cfg -f /etc/haproxy/conf.d/seeder.cfg.new',
  )
})
