import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { loadPlatform } from '../../src/platform/load.ts'
import { nftablesFor } from '../../src/platform/nftables.ts'
import type { RoleName } from '../../src/platform/schema.ts'

// A machine and its neighbour, as two network namespaces with a cable between them: who gets through the real kernel?
const machine = '10.0.0.100'
const addresses = {
  node: '10.0.0.66',
  gateway: '10.0.0.126',
  home: '192.168.3.5',
  stranger: '172.20.0.9',
}
const ports = [22, 6443, 10250, 10256, 6783, 30080, 30443]

/** Connects from every address to every port; prints JSON `{ "node:22": true }` for those that were answered. */
const probe = `
import { connect } from 'node:net'
const [addresses, ports] = process.argv.slice(2).map((text) => JSON.parse(text))
const answered = (localAddress, port) => new Promise((done) => {
  const socket = connect({ host: '${machine}', port, localAddress, timeout: 600 })
  const end = (result) => { socket.destroy(); done(result) }
  socket.on('connect', () => end(true)).on('timeout', () => end(false))
  socket.on('error', (error) => end(error.code === 'ECONNREFUSED'))
})
const all = Object.entries(addresses).flatMap(([who, address]) =>
  ports.map(async (port) => [who + ':' + port, await answered(address, port)]))
console.log(JSON.stringify(Object.fromEntries(await Promise.all(all))))
`

// 30080 stands for a NodePort as kube-proxy makes one: rewritten to another port before the input chain.
const network = `
ip link set lo up
unshare --net sleep 60 & neighbour=$!
trap 'kill $neighbour' EXIT
until [ "$(readlink /proc/$neighbour/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.05; done
inside() { nsenter --net=/proc/$neighbour/ns/net "$@"; }
ip link add machine type veth peer name neighbour
ip link set neighbour netns $neighbour
ip address add ${machine}/26 dev machine
ip link set machine up
for address in ${Object.values(addresses).join(' ')}; do inside ip address add $address/32 dev neighbour; done
inside ip link set neighbour up
inside ip route add 10.0.0.64/26 dev neighbour
ip route add 192.168.3.0/24 dev machine
ip route add 172.20.0.0/16 dev machine
if [ -n "$KUBE_PROXY" ]; then nft -f - <<'END'
table ip kube-proxy {
  chain services {
    type nat hook prerouting priority dstnat;
    tcp dport 30080 redirect to :8080
  }
}
END
fi
if [ -n "$RULES" ]; then nft -f "$RULES"; fi
inside "$NODE" "$PROBE" "$ADDRESSES" "$PORTS"
`

let folder = ''
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'seeder-firewall-'))
  await writeFile(join(folder, 'probe.mjs'), probe)
})
afterAll(() => rm(folder, { recursive: true }))

/** Who was answered on which port, as `who:port`. A port nobody listens on answers with a reset: it was let in. */
async function letIn(role: RoleName | undefined): Promise<string[]> {
  const rules = role ? join(folder, `${role}.nft`) : ''
  if (role) {
    const platform = await loadPlatform(join(import.meta.dirname, '../../platform.yaml'))
    await writeFile(rules, nftablesFor(platform, role))
  }
  const { stdout } = await execa('unshare', ['--user', '--map-root-user', '--net', 'bash', '-euc', network], {
    env: {
      RULES: rules,
      KUBE_PROXY: role === 'haproxy' ? '' : 'yes',
      NODE: process.execPath,
      PROBE: join(folder, 'probe.mjs'),
      ADDRESSES: JSON.stringify(addresses),
      PORTS: JSON.stringify(ports),
    },
  })
  const answers = Object.entries(JSON.parse(stdout) as Record<string, boolean>)
  return answers.filter(([, answered]) => answered).map(([name]) => name)
}

it('lets everything in without a firewall, so that the probes below mean something', async () => {
  expect(await letIn(undefined)).toHaveLength(Object.keys(addresses).length * ports.length)
})

it('lets a worker be reached by nodes, NodePorts included, and by the operator over ssh only', async () => {
  expect(await letIn('worker')).toEqual([
    'node:10250',
    'node:10256',
    'node:6783',
    'node:30080',
    'node:30443',
    'home:22',
  ])
})

it('lets the load balancer be reached at the edge by anyone, at the API by nodes and the home network', async () => {
  expect(await letIn('haproxy')).toEqual([
    'node:6443',
    'node:30080',
    'node:30443',
    'gateway:30080',
    'gateway:30443',
    'home:22',
    'home:6443',
    'home:30080',
    'home:30443',
    'stranger:30080',
    'stranger:30443',
  ])
})
