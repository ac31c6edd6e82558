import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Authority, openAuthority } from '../../../src/pki/authority.ts'
import { issue } from '../../../src/pki/issue.ts'
import type { KeyPair } from '../../../src/pki/openssl.ts'
import { parseRequest } from '../../../src/pki/profile.ts'
import { Lan } from '../../support/first-boot/etcd-lan.ts'
import { EtcdNode } from '../../support/first-boot/etcd-node.ts'
import { controlPlaneCards, files, makeNode, nodeEnvs } from '../../support/first-boot/kubernetes-site.ts'
import type { Node } from '../../support/first-boot/node.ts'
import { makePki, type TestPki } from '../../support/pki/place.ts'

/** The images' own scripts look at what is issued. */
let pki: TestPki
let authority: Authority
let ca: string
beforeAll(async () => {
  pki = await makePki()
  authority = await openAuthority(pki.folder)
  ca = (await authority.certificate('etcd-ca')).certificate
})
afterAll(() => pki.remove())

async function deliver(node: EtcdNode | Node, file: string, pair: KeyPair, trusted = ca): Promise<void> {
  await node.write(`/etc/seeder/tls/${file}.crt`, pair.certificate)
  await node.write(`/etc/seeder/tls/${file}.key`, pair.key, 0o600)
  await node.write('/etc/seeder/trust/etcd-ca.crt', trusted)
}

test('members of etcd come up with their certificates, and clients are served', async () => {
  const lan = await Lan.make()
  const members = [
    ['etcd1', '10.0.0.129'],
    ['etcd2', '10.0.0.130'],
    ['etcd3', '10.0.0.131'],
  ] as const
  const list = members.map((pair) => pair.join('=')).join(' ')
  const nodes = await Promise.all(members.map(([name, address]) => EtcdNode.make(lan, name, address)))
  try {
    await Promise.all(
      nodes.map(async (node, index) => {
        const [name, address] = members[index] ?? []
        await node.write('/etc/seeder/node.env', `ETCD_STATE=new\nETCD_TOKEN=t\nETCD_MEMBERS="${list}"\n`)
        await deliver(node, 'etcd', (await authority.issueEtcdMember(name ?? '', address ?? '')).pair)
        expect(await node.firstBoot()).toMatchObject({ status: { state: 'ready' } })
      }),
    )
    await Promise.all(nodes.map((node) => node.serves()))

    // With the operator's certificate, and with the API servers'; with a member's, as the node's own command does above.
    const [node] = nodes
    if (!node) throw new Error('there is no node')
    const operator = parseRequest({ kind: 'etcd-client', name: 'operator' })
    const clients = [
      await issue(pki, operator, { now: new Date(), days: 30 }),
      await authority.issueApiserverEtcdClient(),
    ]
    for (const [index, { pair }] of clients.entries()) {
      await node.write('/var/client.crt', pair.certificate)
      await node.write('/var/client.key', pair.key)
      const etcdctl =
        'etcdctl --endpoints=https://10.0.0.130:2379 --cacert=/etc/seeder/trust/etcd-ca.crt --cert=/var/client.crt --key=/var/client.key'
      expect(await node.run(`${etcdctl} put key ${index}; ${etcdctl} get key --print-value-only`)).toBe(
        `OK\n${index}`,
      )
    }

    // Where members talk to each other, the same certificates do not pass for a member's.
    const member = await authority.issueEtcdMember('etcd1', '10.0.0.129')
    const answers: string[] = []
    for (const { pair } of [...clients, member]) {
      await node.write('/var/client.crt', pair.certificate)
      await node.write('/var/client.key', pair.key)
      const request = `timeout 20 openssl s_client -quiet -connect 10.0.0.130:2380 -CAfile /etc/seeder/trust/etcd-ca.crt \
        -cert /var/client.crt -key /var/client.key 2>&1 <<<$'GET /version HTTP/1.0\\r\\n\\r'`
      const { output } = await node.shell(request)
      answers.push(/HTTP\/1\.0 200|alert bad certificate/.exec(output)?.[0] ?? output)
    }
    expect(answers).toEqual(['alert bad certificate', 'alert bad certificate', 'HTTP/1.0 200'])
  } finally {
    await Promise.all(nodes.map((node) => node.dispose()))
    await lan.dispose()
  }
}, 120_000)

test('a CA is replaced as docs/operations.md has it', async () => {
  const next = await makePki()
  const lan = await Lan.make()
  const node = await EtcdNode.make(lan, 'etcd1', '10.0.0.129')
  try {
    const successor = await openAuthority(next.folder)
    const newCa = (await successor.certificate('etcd-ca')).certificate
    await node.write(
      '/etc/seeder/node.env',
      'ETCD_STATE=new\nETCD_TOKEN=t\nETCD_MEMBERS="etcd1=10.0.0.129"\nETCD_HEARTBEAT_MS=10\nETCD_ELECTION_MS=100\n',
    )
    const old = (await authority.issueEtcdMember('etcd1', '10.0.0.129')).pair
    const renewed = (await successor.issueEtcdMember('etcd1', '10.0.0.129')).pair
    // Both CAs have the same name: only their keys differ.
    for (const [pair, trusted] of [
      [old, ca],
      [old, ca + newCa],
      [renewed, ca + newCa],
      [renewed, newCa],
    ] as const) {
      await deliver(node, 'etcd', pair, trusted)
      expect(await node.firstBoot()).toMatchObject({ status: { state: 'ready' } })
      await node.serves()
    }
  } finally {
    await node.dispose()
    await Promise.all([lan.dispose(), next.remove()])
  }
}, 120_000)

test('a member of another name is refused with its own certificate', async () => {
  const lan = await Lan.make()
  const node = await EtcdNode.make(lan, 'etcd4', '10.0.0.132')
  try {
    await node.write(
      '/etc/seeder/node.env',
      'ETCD_STATE=new\nETCD_TOKEN=t\nETCD_MEMBERS="etcd4=10.0.0.132"\n',
    )
    await deliver(node, 'etcd', (await authority.issueEtcdMember('etcd1', '10.0.0.129')).pair)
    const { console } = await node.firstBoot()
    expect(console).toEqual([
      'seeder-first-boot: /etc/seeder/tls/etcd.crt: is not for the name etcd4; it is for etcd1, localhost, 10.0.0.129, 127.0.0.1',
      'seeder-first-boot: /etc/seeder/tls/etcd.crt: is not for the address 10.0.0.132; it is for etcd1, localhost, 10.0.0.129, 127.0.0.1',
    ])
  } finally {
    await node.dispose()
    await lan.dispose()
  }
})

test('the first control plane takes the API servers’ certificate for etcd, and no operator’s key for it', async () => {
  const node = await makeNode('kubernetes-node')
  try {
    node.hostname = 'cp1'
    await node.write('/var/addresses', controlPlaneCards)
    await node.write(
      '/etc/seeder/cluster.env',
      'POD_CIDR=10.32.0.0/12\nSERVICE_CIDR=10.96.0.0/12\nNODE_PORTS=30000-32767\nPOD_INTERFACE=weave\n',
    )
    await node.write(files.nodeEnv, nodeEnvs.init, 0o640)
    const { pair } = await authority.issueApiserverEtcdClient()
    await deliver(node, 'apiserver-etcd-client', pair)
    expect((await node.boot()).status).toMatchObject({ state: 'ready' })

    const { key } = (await authority.issueEtcdMember('etcd1', '10.0.0.129')).pair
    await node.write(files.etcdKey, key, 0o600)
    expect((await node.boot()).status).toMatchObject({
      state: 'failed',
      reason: `${files.etcdKey}: is not the key of ${files.etcdCrt}`,
    })
  } finally {
    await node.dispose()
  }
})
