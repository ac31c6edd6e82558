import { afterEach, beforeAll, describe, expect, test } from 'vitest'
import {
  caHash,
  certificateKey,
  type EtcdFiles,
  files,
  firewallOf,
  makeEtcdFiles,
  makeKubernetesNode,
  type NodeEnv,
  nodeEnvs,
  token,
} from '../../support/first-boot/kubernetes-site.ts'
import type { Node } from '../../support/first-boot/node.ts'

let etcd: EtcdFiles
let node: Node
beforeAll(async () => {
  etcd = await makeEtcdFiles()
})
afterEach(() => node.dispose())

/** Boots and expects to be refused with these messages and no others, nothing changed. */
async function expectRefusal(messages: string[]) {
  const { exitCode, console, calls, status } = await node.boot()
  expect(console).toEqual(messages.map((message) => `seeder-first-boot: ${message}`))
  expect(status).toMatchObject({ state: 'failed', reason: messages.join('; ') })
  expect(exitCode).toBe(1)
  expect(calls.filter((call) => !/^(kubeadm|sleep) /.test(call))).toEqual([])
  expect(await node.read(files.config)).toBeUndefined()
  expect(await node.read(`${files.config}.new`)).toBeUndefined()
  expect(await node.read(files.firewall)).toBe(firewallOf('worker'))
}

/** Replaces the lines of the keys in `changes`, adds those that are not there, and leaves out those without a value. */
function edit(env: NodeEnv, changes: Record<string, string | undefined>): string {
  const kept = nodeEnvs[env].split('\n').filter((line) => !Object.hasOwn(changes, line.replace(/=.*/, '')))
  const added = Object.entries(changes).flatMap(([key, value]) =>
    value === undefined ? [] : [`${key}=${value}`],
  )
  return [...kept, ...added].join('\n')
}

const required: [env: NodeEnv, key: string, message: string][] = [
  ['init', 'NODE_ROLE', 'is not set; it is control-plane or worker'],
  ['init', 'CONTROL_PLANE_ENDPOINT', 'is not set; a control-plane with BOOTSTRAP=init needs it'],
  ['init', 'ETCD_ENDPOINTS', 'is not set; a control-plane with BOOTSTRAP=init needs it'],
  [
    'init',
    'NODE_ADDRESS',
    'is not set, and this machine does not have exactly one address to take; it has: 10.0.0.66 10.0.0.140',
  ],
  ['joinControlPlane', 'NODE_ROLE', 'is not set; it is control-plane or worker'],
  ['joinControlPlane', 'CONTROL_PLANE_ENDPOINT', 'is not set; a control-plane with BOOTSTRAP=join needs it'],
  ['joinControlPlane', 'JOIN_TOKEN', 'is not set; a control-plane with BOOTSTRAP=join needs it'],
  ['joinControlPlane', 'JOIN_CA_HASH', 'is not set; a control-plane with BOOTSTRAP=join needs it'],
  ['joinControlPlane', 'CERTIFICATE_KEY', 'is not set; a control-plane with BOOTSTRAP=join needs it'],
  [
    'joinControlPlane',
    'NODE_ADDRESS',
    'is not set, and this machine does not have exactly one address to take; it has: 10.0.0.66 10.0.0.140',
  ],
  ['joinWorker', 'NODE_ROLE', 'is not set; it is control-plane or worker'],
  ['joinWorker', 'CONTROL_PLANE_ENDPOINT', 'is not set; a worker with BOOTSTRAP=join needs it'],
  ['joinWorker', 'JOIN_TOKEN', 'is not set; a worker with BOOTSTRAP=join needs it'],
  ['joinWorker', 'JOIN_CA_HASH', 'is not set; a worker with BOOTSTRAP=join needs it'],
]

describe('a key that the role needs', () => {
  test.each(required)('%s without %s', async (env, key, message) => {
    node = await makeKubernetesNode(etcd, env)
    await node.write(files.nodeEnv, edit(env, { [key]: undefined }))
    await expectRefusal([`${key}: ${message}`])
  })

  test('NODE_ROLE also when no other value is required', async () => {
    node = await makeKubernetesNode(etcd, 'none')
    await node.write(files.nodeEnv, 'CLUSTER_NAME=home')
    await expectRefusal(['NODE_ROLE: is not set; it is control-plane or worker'])
  })
})

const endpointForm = 'is not a DNS name or an IPv4 address with a port, NAME:PORT'
const podForm = 'is not an IPv4 network with a prefix length from 8 to 24, as in 10.32.0.0/12'
const serviceForm = 'is not an IPv4 network with a prefix length from 12 to 28, as in 10.32.0.0/12'
const tokenForm = 'is not a bootstrap token: 6 characters, a dot, 16 characters, of a-z and 0-9'

const malformed: [env: NodeEnv, key: string, value: string, message: string][] = [
  ['none', 'NODE_ROLE', 'master', '"master" is not one of: control-plane worker'],
  [
    'none',
    'NODE_ROLE',
    '"control-plane worker"',
    '"control-plane worker" is not one of: control-plane worker',
  ],
  ['joinWorker', 'BOOTSTRAP', 'Join', '"Join" is not one of: init join none'],
  ['joinWorker', 'NODE_ADDRESS', '10.0.0.700', '"10.0.0.700" is not an IPv4 address'],
  ['joinWorker', 'NODE_ADDRESS', '"10.0.0.70 10.0.0.71"', '"10.0.0.70 10.0.0.71" is not an IPv4 address'],
  [
    'joinWorker',
    'NODE_ADDRESS',
    '10.0.0.99',
    'is 10.0.0.99, but this machine does not have that address; it has: 10.0.0.70',
  ],
  ['joinWorker', 'CONTROL_PLANE_ENDPOINT', '10.0.0.115', `"10.0.0.115" ${endpointForm}`],
  ['joinWorker', 'CONTROL_PLANE_ENDPOINT', '10.0.0.115:0', `"10.0.0.115:0" ${endpointForm}`],
  ['joinWorker', 'CONTROL_PLANE_ENDPOINT', 'https://api:6443', `"https://api:6443" ${endpointForm}`],
  ['joinWorker', 'CONTROL_PLANE_ENDPOINT', 'API:6443', `"API:6443" ${endpointForm}`],
  ['joinWorker', 'CONTROL_PLANE_ENDPOINT', 'api:6443#x', `"api:6443#x" ${endpointForm}`],
  ['joinWorker', 'JOIN_TOKEN', 'ABCDEF.0123456789abcdef', tokenForm],
  ['joinWorker', 'JOIN_TOKEN', 'abcdef.0123456789abcde', tokenForm],
  ['init', 'JOIN_TOKEN', 'abcdef0123456789abcdef', tokenForm],
  ['joinWorker', 'JOIN_CA_HASH', 'sha256:1234', '"sha256:1234" is not sha256: and 64 hexadecimal digits'],
  [
    'joinWorker',
    'JOIN_CA_HASH',
    caHash.slice(7),
    `"${caHash.slice(7, 67)}…" is not sha256: and 64 hexadecimal digits`,
  ],
  ['joinControlPlane', 'CERTIFICATE_KEY', certificateKey.slice(1), 'is not 64 hexadecimal digits'],
  ['init', 'CERTIFICATE_KEY', 'x'.repeat(64), 'is not 64 hexadecimal digits'],
  [
    'joinWorker',
    'CERTIFICATE_KEY',
    certificateKey,
    'is set, but a worker must not have it: it opens the keys of the cluster',
  ],
  ['none', 'JOIN_TOKEN', token, 'is set, but BOOTSTRAP is none'],
  ['none', 'JOIN_CA_HASH', caHash, 'is set, but BOOTSTRAP is none'],
  ['none', 'CERTIFICATE_KEY', certificateKey, 'is set, but BOOTSTRAP is none'],
  [
    'init',
    'NODE_ROLE',
    'worker',
    'BOOTSTRAP: is init, but NODE_ROLE is worker; a cluster begins with a control plane',
  ],
  ['init', 'KUBE_PROXY_MODE', 'ipvs', '"ipvs" is not one of: iptables nftables'],
  ['init', 'ETCD_ENDPOINTS', '"10.0.0.129 etcd2"', '"etcd2" is not an IPv4 address'],
  ['init', 'ETCD_ENDPOINTS', 'https://10.0.0.129:2379', '"https://10.0.0.129:2379" is not an IPv4 address'],
  ['init', 'ETCD_ENDPOINTS', '"10.0.0.129 10.0.0.129"', 'has 10.0.0.129 twice'],
  [
    'init',
    'CLUSTER_NAME',
    'My-Cluster',
    '"My-Cluster" is not a name of lower-case letters, digits and dashes',
  ],
  ['init', 'CLUSTER_NAME', "'a: b'", '"a: b" is not a name of lower-case letters, digits and dashes'],
  ['init', 'POD_CIDR', '10.32.0.0', `"10.32.0.0" ${podForm}`],
  ['init', 'POD_CIDR', '10.32.0.0/25', `"10.32.0.0/25" ${podForm}`],
  ['init', 'POD_CIDR', '10.33.0.0/12', `"10.33.0.0/12" ${podForm}`],
  ['init', 'SERVICE_CIDR', '10.96.0.0/8', `"10.96.0.0/8" ${serviceForm}`],
  ['init', 'SERVICE_CIDR', 'fd00::/108', `"fd00::/108" ${serviceForm}`],
  [
    'init',
    'SERVICE_CIDR',
    '10.32.128.0/20',
    'POD_CIDR: 10.32.0.0/12 and SERVICE_CIDR 10.32.128.0/20 overlap',
  ],
  [
    'init',
    'POD_CIDR',
    '10.0.0.0/16',
    'NODE_ADDRESS: 10.0.0.66 is in POD_CIDR, 10.0.0.0/16, where nodes have no place',
  ],
  [
    'init',
    'SERVICE_CIDR',
    '10.0.0.64/28',
    'NODE_ADDRESS: 10.0.0.66 is in SERVICE_CIDR, 10.0.0.64/28, where nodes have no place',
  ],
  ['init', 'NTP_SERVERS', '_', '"_" is neither a DNS name nor an IPv4 address'],
  [
    'none',
    'API_BACKENDS',
    'cp1=10.0.0.66',
    'is not a key of this role; it has: NODE_ROLE BOOTSTRAP CONTROL_PLANE_ENDPOINT NODE_ADDRESS ETCD_ENDPOINTS JOIN_TOKEN JOIN_CA_HASH CERTIFICATE_KEY KUBE_PROXY_MODE POD_CIDR SERVICE_CIDR CLUSTER_NAME NTP_SERVERS ROUTES',
  ],
]

describe('a malformed value', () => {
  test.each(malformed)('%s: %s=%s', async (env, key, value, message) => {
    node = await makeKubernetesNode(etcd, env)
    await node.write(files.nodeEnv, edit(env, { [key]: value }))
    await expectRefusal([/^[A-Z_]+: (?=\d|is )/.test(message) ? message : `${key}: ${message}`])
  })

  test('all problems are reported, not only the first', async () => {
    node = await makeKubernetesNode(etcd, 'joinWorker')
    await node.write(
      files.nodeEnv,
      edit('joinWorker', { JOIN_TOKEN: 'x', JOIN_CA_HASH: undefined, NODE_ADDRESS: 'w1' }),
    )
    await expectRefusal([
      'NODE_ADDRESS: "w1" is not an IPv4 address',
      `JOIN_TOKEN: ${tokenForm}`,
      'JOIN_CA_HASH: is not set; a worker with BOOTSTRAP=join needs it',
    ])
  })

  test('a secret is not repeated, wherever it is', async () => {
    node = await makeKubernetesNode(etcd, 'joinWorker')
    await node.write(
      files.nodeEnv,
      `NODE_ROLE=worker\nJOIN_TOKEN = ${token}\nCERTIFICATE_KEY=${certificateKey}x`,
    )
    const { console } = await node.boot()
    expect(console.join('\n')).not.toContain(token)
    expect(console.join('\n')).not.toContain(certificateKey)
    expect(console).toContain(
      'seeder-first-boot: line 2: is not KEY=value: "JOIN_TOKEN (its value is not shown)"',
    )
  })
})

describe('the machine itself', () => {
  test.each(['localhost', 'localhost.localdomain', '(none)', 'a_b'])('the name %s', async (hostname) => {
    node = await makeKubernetesNode(etcd, 'joinWorker')
    node.hostname = hostname
    await expectRefusal([
      `host name: "${hostname}" is none for a node; Proxmox VE writes the VM's name on the drive, but not beside user data of your own`,
    ])
  })

  test('no address within the time', async () => {
    node = await makeKubernetesNode(etcd, 'joinWorker')
    await node.write('/var/addresses', '2: eth0    inet 169.254.7.7/16 scope global eth0\n')
    const message =
      'NODE_ADDRESS: is not set, and this machine does not have exactly one address to take; it has: none'
    const { console, calls } = await node.boot()
    expect(console).toEqual([`seeder-first-boot: ${message}`])
    expect(calls).toEqual(Array.from({ length: 19 }, () => 'sleep 1'))
  })

  test.each(['POD_CIDR', 'SERVICE_CIDR'])('an image without %s', async (key) => {
    node = await makeKubernetesNode(etcd, 'init')
    const lines = (await node.read('/etc/seeder/cluster.env'))?.split('\n') ?? []
    await node.write('/etc/seeder/cluster.env', lines.filter((line) => !line.startsWith(key)).join('\n'))
    await expectRefusal([`${key}: is not set, and /etc/seeder/cluster.env does not have it`])
    await node.write('/etc/seeder/cluster.env', [...lines, `${key}=10.32.0.0`].join('\n'))
    const range = key === 'POD_CIDR' ? 'from 8 to 24' : 'from 12 to 28'
    await expectRefusal([
      `/etc/seeder/cluster.env: ${key} is "10.32.0.0", not an IPv4 network with a prefix length ${range}`,
    ])
  })

  test('an image without a firewall for the role', async () => {
    node = await makeKubernetesNode(etcd, 'joinControlPlane')
    await node.remove('/etc/seeder/firewalls/control-plane.nft')
    const { status, calls } = await node.boot()
    expect(status).toMatchObject({
      state: 'failed',
      reason:
        'NODE_ROLE: this image has no firewall for a control-plane: /etc/seeder/firewalls/control-plane.nft is missing',
    })
    expect(calls.join('\n')).not.toContain('seeder-kubeadm')
  })

  test('a firewall that is not loaded: kubeadm is not called', async () => {
    node = await makeKubernetesNode(etcd, 'joinControlPlane')
    await node.write('/var/broken', 'seeder-firewall.service\n')
    const { status, calls } = await node.boot()
    expect(status.reason).toBe('firewall: was not loaded: see journalctl -u seeder-firewall')
    expect(calls.join('\n')).not.toContain('seeder-kubeadm')
  })
})

describe('what kubeadm itself refuses', () => {
  test('the configuration', async () => {
    node = await makeKubernetesNode(etcd, 'joinWorker')
    const said =
      'error: discovery: Invalid value\nTo see the stack trace of this error execute with --v=5 or higher\n'
    await node.write('/var/kubeadm-refuses', said)
    await expectRefusal(['kubeadm: does not accept its configuration: error: discovery: Invalid value'])
  })

  test('its version', async () => {
    node = await makeKubernetesNode(etcd, 'init')
    await node.write('/var/kubeadm-version', 'v1.37: "x"\n')
    await expectRefusal(['kubeadm: does not say its version, but "v1.37: "x""'])
  })
})

describe('the files for etcd', () => {
  const needed = 'is missing: the API server needs it to talk to etcd'
  const cases: [title: string, write: () => Promise<void>, message: string][] = [
    ['no CA', () => node.remove(files.etcdCa), `${files.etcdCa}: ${needed}`],
    ['no certificate', () => node.remove(files.etcdCrt), `${files.etcdCrt}: ${needed}`],
    ['no key', () => node.remove(files.etcdKey), `${files.etcdKey}: ${needed}`],
    [
      'a CA with its key',
      () => node.write(files.etcdCa, etcd.ca + etcd.caKey),
      `${files.etcdCa}: has a private key in it; it must be the CA certificate alone, and that key is not secret any more`,
    ],
    [
      'a CA that is none',
      () => node.write(files.etcdCa, 'hello\n'),
      `${files.etcdCa}: has no certificate (PEM) in it`,
    ],
    [
      'a certificate that is none',
      () => node.write(files.etcdCrt, 'hello\n'),
      `${files.etcdCrt}: has no certificate (PEM) in it`,
    ],
    [
      'a key that is none',
      () => node.write(files.etcdKey, 'hello\n'),
      `${files.etcdKey}: has no private key (PEM, without a passphrase) in it`,
    ],
    [
      'another’s key',
      () => node.write(files.etcdKey, etcd.server.key),
      `${files.etcdKey}: is not the key of ${files.etcdCrt}`,
    ],
    [
      'another CA',
      () => node.write(files.etcdCa, etcd.otherCa),
      `${files.etcdCrt}: does not pass for a client's certificate by the CA in ${files.etcdCa}: unable to get local issuer certificate`,
    ],
    [
      'an expired certificate',
      () => node.write(files.etcdCrt, etcd.expired),
      `${files.etcdCrt}: does not pass for a client's certificate by the CA in ${files.etcdCa}: certificate has expired`,
    ],
    [
      'a server’s certificate',
      async () => {
        await node.write(files.etcdCrt, etcd.server.cert)
        await node.write(files.etcdKey, etcd.server.key)
      },
      `${files.etcdCrt}: does not pass for a client's certificate by the CA in ${files.etcdCa}: unsuitable certificate purpose`,
    ],
  ]
  test.each(cases)('%s', async (_, write, message) => {
    node = await makeKubernetesNode(etcd, 'init')
    await write()
    await expectRefusal([message])
  })
})

test('what a joining node hears from the cluster may stand in its node.env', async () => {
  node = await makeKubernetesNode(etcd, 'joinControlPlane')
  await node.write(
    files.nodeEnv,
    edit('joinControlPlane', { ETCD_ENDPOINTS: '10.0.0.129', POD_CIDR: '10.32.0.0/12' }),
  )
  expect((await node.boot()).status.state).toBe('ready')
})
