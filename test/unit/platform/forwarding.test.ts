import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { parsePlatform } from '../../../src/platform/load.ts'
import { nftablesFor } from '../../../src/platform/nftables.ts'
import type { RoleName } from '../../../src/platform/schema.ts'
import { answered } from '../../support/network-namespaces.ts'

// A node with a pod, and what stands around it, as three network namespaces: what does the real kernel pass on?
const file = join(import.meta.dirname, '../../../platform.yaml')
const text = await readFile(file, 'utf8')
const pod = '10.32.0.9'
const service = '10.96.0.10:80'
const apiService = '10.96.0.1:443'
const node = '10.0.0.80'
const around = {
  controlPlane: '10.0.0.66',
  worker: '10.0.0.81',
  haproxy: '10.0.0.106',
  unknownMachine: '10.0.0.126',
  home: '192.168.3.5',
}

// kube-proxy's rules, as short as can be: a service of the pod, its NodePort, the API's service, whose server is on the
// node itself; and a network plugin's for a host port.
const network = `
space far
space pod
cable net0 far far0
cable weave pod eth0
ip address add ${node}/26 dev net0
ip address add 10.32.0.1/12 dev weave
inside pod ip address add ${pod}/12 dev eth0
inside pod ip route add default via 10.32.0.1
for address in ${Object.values(around).join(' ')}; do inside far ip address add $address/32 dev far0; done
inside far ip route add 10.0.0.64/26 dev far0
inside far ip route add 10.32.0.0/12 via ${node} dev far0
inside far ip route add 10.96.0.0/12 via ${node} dev far0
ip route add 192.168.3.0/24 dev net0
sysctl -qw net.ipv4.ip_forward=1
nft -f - <<'END'
table ip kube-proxy {
  chain services {
    type nat hook prerouting priority dstnat;
    ip daddr 10.96.0.10 tcp dport 80 dnat to ${pod}:8080
    ip daddr 10.96.0.1 tcp dport 443 dnat to ${node}:6443
    fib daddr type local tcp dport 30080 dnat to ${pod}:8080
    fib daddr type local tcp dport 8088 dnat to ${pod}:8080
  }
}
END
nft -f "$RULES"
`

const targets = [`${pod}:8080`, service, apiService, `${node}:30080`, `${node}:8088`]
const fromAround = Object.values(around).flatMap((from) => targets.map((to) => ({ from, to })))
const none = 'table inet other { }'

function rulesOf(role: RoleName, flows = ''): string {
  return nftablesFor(parsePlatform(text + flows, file), role)
}

it('forwards everything without a firewall, so that the other tests can fail', async () => {
  expect(await answered(network, none, 'far', fromAround)).toHaveLength(fromAround.length)
})

it('forwards only the NodePorts of the matrix to pods and services', async () => {
  const nodePorts = [around.controlPlane, around.worker, around.haproxy].map(
    (from) => `${from} ${node}:30080`,
  )
  expect(await answered(network, rulesOf('worker'), 'far', fromAround)).toEqual(nodePorts)
})

it('does not open the API’s port through its service', async () => {
  const seen = await answered(network, rulesOf('control-plane'), 'far', [
    { from: around.worker, to: apiService },
    { from: around.home, to: apiService },
    { from: around.worker, to: `${node}:6443` },
  ])
  expect(seen).toEqual([`${around.worker} ${node}:6443`])
})

it('lets pods reach services, other machines and their own node', async () => {
  const questions = [service, apiService, `${node}:30080`, `${node}:10250`, `${around.unknownMachine}:9`].map(
    (to) => ({ from: pod, to }),
  )
  // A pod that calls its own service would call itself.
  const others = questions.filter(({ to }) => to !== service && to !== `${node}:30080`)
  expect(await answered(network, rulesOf('worker'), 'pod', others)).toEqual(
    others.map(({ from, to }) => `${from} ${to}`),
  )
})

it('does not route between zones', async () => {
  const beyond = `
    space back
    cable net1 back back0
    ip address add 10.0.0.160/26 dev net1
    inside back ip address add 10.0.0.130/26 dev back0
    inside back ip route add default via 10.0.0.160
    inside far ip route add 10.0.0.128/26 via ${node} dev far0`
  const questions = Object.values(around).map((from) => ({ from, to: '10.0.0.130:2379' }))
  expect(await answered(network + beyond, none, 'far', questions)).toHaveLength(questions.length)
  for (const role of ['control-plane', 'haproxy', 'etcd'] as const) {
    expect(await answered(network + beyond, rulesOf(role), 'far', questions)).toEqual([])
  }
})

it('forwards what a flow to pods or services allows, and nothing else', async () => {
  const flows = `
  pods-from-home: { from: [home], to: [pods], protocols: [tcp], ports: [8080], why: x }
  services-from-home: { from: [home], to: [services], protocols: [tcp], ports: [80], why: x }
  host-port: { from: [any], to: [worker], protocols: [tcp], ports: [8088], why: x }
`
  const questions = [...fromAround, { from: around.home, to: `${pod}:8081` }]
  expect(await answered(network, rulesOf('worker', flows), 'far', questions)).toEqual(
    [
      [around.controlPlane, `${node}:30080`],
      [around.controlPlane, `${node}:8088`],
      [around.worker, `${node}:30080`],
      [around.worker, `${node}:8088`],
      [around.haproxy, `${node}:30080`],
      [around.haproxy, `${node}:8088`],
      [around.unknownMachine, `${node}:8088`],
      [around.home, `${pod}:8080`],
      [around.home, service],
      [around.home, `${node}:8088`],
    ].map((pair) => pair.join(' ')),
  )
})
