import { join } from 'node:path'
import { expect, it } from 'vitest'
import { loadPlatform } from '../../../src/platform/load.ts'
import { nftablesFor } from '../../../src/platform/nftables.ts'
import type { RoleName } from '../../../src/platform/schema.ts'
import { answered } from '../../support/network-namespaces.ts'

// A machine and its neighbours, as two network namespaces with a cable between them: who gets through the real kernel?
const platform = await loadPlatform(join(import.meta.dirname, '../../../platform.yaml'))
const middle = {
  'control-plane': '10.0.0.66',
  worker: '10.0.0.76',
  haproxy: '10.0.0.106',
  gateway: '10.0.0.126',
  home: '192.168.3.5',
  unknownMachine: '172.20.0.9',
}
const back = {
  etcd: '10.0.0.130',
  'control-plane': '10.0.0.160',
  gateway: '10.0.0.190',
  home: '192.168.3.5',
}
const ports = [22, 2379, 2380, 6443, 10250, 10256, 6783, 30080, 30443]

// 30080 stands for a NodePort as kube-proxy makes one: rewritten to another port before the input chain.
const network = (machine: string, neighbours: Record<string, string>, kubeProxy: boolean) => `
space far
cable net0 far far0
ip address add ${machine} dev net0
for address in ${Object.values(neighbours).join(' ')}; do inside far ip address add $address/32 dev far0; done
inside far ip route add ${machine.split('/')[0]} dev far0
ip route add 192.168.3.0/24 dev net0
ip route add 172.20.0.0/16 dev net0
${kubeProxy ? "nft 'table ip kube-proxy { chain services { type nat hook prerouting priority dstnat; tcp dport 30080 redirect to :8080; }; }'" : ''}
nft -f "$RULES"
`

/** Who was answered on which port of a machine, as `who:port`. */
async function letIn(
  role: RoleName | undefined,
  machine = '10.0.0.100/26',
  neighbours: Record<string, string> = middle,
): Promise<string[]> {
  const rules = role ? nftablesFor(platform, role) : 'table inet other { }'
  const [address] = machine.split('/')
  const questions = Object.values(neighbours).flatMap((from) =>
    ports.map((port) => ({ from, to: `${address}:${port}` })),
  )
  const kubeProxy = role !== 'haproxy' && role !== 'etcd'
  const seen = await answered(network(machine, neighbours, kubeProxy), rules, 'far', questions)
  return Object.entries(neighbours).flatMap(([who, from]) =>
    ports.filter((port) => seen.includes(`${from} ${address}:${port}`)).map((port) => `${who}:${port}`),
  )
}

it('accepts everything without a firewall, so that the other tests can fail', async () => {
  expect(await letIn(undefined)).toHaveLength(Object.keys(middle).length * ports.length)
})

it('accepts nodes on a worker, NodePorts included, and the operator only over ssh', async () => {
  expect(await letIn('worker')).toEqual([
    'control-plane:10250',
    'control-plane:6783',
    'control-plane:30080',
    'control-plane:30443',
    'worker:10250',
    'worker:6783',
    'worker:30080',
    'worker:30443',
    'haproxy:10256',
    'haproxy:30080',
    'haproxy:30443',
    'home:22',
  ])
})

it('accepts everybody at the edge of the load balancer, and at the API nodes and the home network', async () => {
  expect(await letIn('haproxy')).toEqual([
    'control-plane:6443',
    'control-plane:30080',
    'control-plane:30443',
    'worker:6443',
    'worker:30080',
    'worker:30443',
    'haproxy:30080',
    'haproxy:30443',
    'gateway:30080',
    'gateway:30443',
    'home:22',
    'home:6443',
    'home:30080',
    'home:30443',
    'unknownMachine:30080',
    'unknownMachine:30443',
  ])
})

it('distinguishes roles in the same zone', async () => {
  const controlPlane = await letIn('control-plane', '10.0.0.161/26', back)
  expect(controlPlane).not.toContain('etcd:6443')
  expect(controlPlane).toEqual([
    'control-plane:6443',
    'control-plane:10250',
    'control-plane:6783',
    'control-plane:30080',
    'control-plane:30443',
    'home:22',
  ])
  expect(await letIn('etcd', '10.0.0.131/26', back)).toEqual([
    'etcd:2379',
    'etcd:2380',
    'control-plane:2379',
    'home:22',
  ])
})
