import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { parseAllDocuments } from 'yaml'
import { TestAuthority, type TestKeyPair } from '../../../src/boot-test/certificates.ts'
import { nftablesFor } from '../../../src/platform/nftables.ts'
import { goPrograms } from '../programs/build.ts'
import { Node, platform } from './node.ts'

/** What a control plane is given to talk to etcd with, and what will not do (PEM). */
export interface EtcdFiles {
  readonly ca: string
  readonly client: TestKeyPair
  readonly caKey: string
  readonly otherCa: string
  /** Of a server: it does not identify a client. */
  readonly server: TestKeyPair
  /** The client's, which was good until yesterday. */
  readonly expired: string
}

/** Makes a CA for etcd and certificates by it, and others that will not do. */
export async function makeEtcdFiles(): Promise<EtcdFiles> {
  const folder = await mkdtemp(join(tmpdir(), 'seeder-etcd-files-'))
  try {
    const ca = await TestAuthority.make('ca', folder)
    const other = await TestAuthority.make('other', folder)
    const client = await ca.issue('client', { commonName: 'kube-apiserver', usages: ['clientAuth'] })
    const server = await ca.issue('server', { commonName: 'server', usages: ['serverAuth'] })
    // Of all of openssl's commands, only this one takes a day of the past; what it signs again must be self-signed.
    const own = ['req', '-x509', '-new', '-key', 'client.key', '-subj', '/CN=kube-apiserver']
    const { stdout: input } = await execa('openssl', own, { cwd: folder })
    const again = ['x509', '-clrext', '-CA', 'ca.crt', '-CAkey', 'ca.key', '-days', '-1']
    const { stdout: expired } = await execa('openssl', again, { cwd: folder, input })
    const caKey = await readFile(join(folder, 'ca.key'), 'utf8')
    return { ca: ca.cert, caKey, otherCa: other.cert, client, server, expired }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

export const token = 'abcdef.0123456789abcdef'
export const caHash = `sha256:${'0123456789abcdef'.repeat(4)}`
export const certificateKey = 'fedcba9876543210'.repeat(4)

const endpoint = 'CONTROL_PLANE_ENDPOINT=10.0.0.115:6443'
const joining = `BOOTSTRAP=join\n${endpoint}\nJOIN_TOKEN=${token}\nJOIN_CA_HASH=${caHash}`

/** What is written in node.env for each way into a cluster. */
export const nodeEnvs = {
  init: `NODE_ROLE=control-plane\nBOOTSTRAP=init\n${endpoint}\nNODE_ADDRESS=10.0.0.66\nETCD_ENDPOINTS="10.0.0.129 10.0.0.130 10.0.0.131"\nJOIN_TOKEN=${token}\nCERTIFICATE_KEY=${certificateKey}\n`,
  joinControlPlane: `NODE_ROLE=control-plane\n${joining}\nNODE_ADDRESS=10.0.0.66\nCERTIFICATE_KEY=${certificateKey}\n`,
  joinWorker: `NODE_ROLE=worker\n${joining}\n`,
  none: 'NODE_ROLE=worker\n',
}
export type NodeEnv = keyof typeof nodeEnvs

export const files = {
  nodeEnv: '/etc/seeder/node.env',
  config: '/run/seeder/kubeadm.yaml',
  begun: '/var/lib/seeder/kubeadm.begun',
  done: '/var/lib/seeder/kubeadm.done',
  state: '/var/lib/seeder/kubeadm.state',
  firewall: '/etc/seeder/firewall.nft',
  etcdCa: '/etc/seeder/trust/etcd-ca.crt',
  etcdCrt: '/etc/seeder/tls/apiserver-etcd-client.crt',
  etcdKey: '/etc/seeder/tls/apiserver-etcd-client.key',
} as const

const card = (name: string, address: string) => `2: ${name}    inet ${address} scope global ${name}\n`
/** What a node of a role is to have there. */
export const firewallOf = (role: 'worker' | 'control-plane') => nftablesFor(platform, role)

/** The cards of a worker and of a control plane, as `ip -4 -o address show` prints them. */
export const oneCard = card('eth0', '10.0.0.70/26')
export const controlPlaneCards = card('eth0', '10.0.0.66/26') + card('eth1', '10.0.0.140/26')

/** A node of any image, with the programs of Kubernetes if it is to have them. */
export async function makeNode(image: string): Promise<Node> {
  const node = await Node.make(image)
  if (image === 'kubernetes-node') node.programs = [(await goPrograms('kubernetes-1.37')).usr]
  return node
}

/** A node of the kubernetes-node image with what the build writes, the certificates and a node.env. */
export async function makeKubernetesNode(etcd: EtcdFiles, env: NodeEnv): Promise<Node> {
  const node = await makeNode('kubernetes-node')
  const worker = env === 'joinWorker' || env === 'none'
  node.hostname = worker ? 'w1' : 'cp1'
  await node.write('/var/addresses', worker ? oneCard : controlPlaneCards)
  await node.write(
    '/etc/seeder/cluster.env',
    'POD_CIDR=10.32.0.0/12\nSERVICE_CIDR=10.96.0.0/12\nNODE_PORTS=30000-32767\nPOD_INTERFACE=weave\n',
  )
  if (env === 'init') {
    await node.write(files.etcdCa, etcd.ca)
    await node.write(files.etcdCrt, etcd.client.cert)
    await node.write(files.etcdKey, etcd.client.key, 0o600)
  }
  await node.write(files.nodeEnv, nodeEnvs[env], 0o640)
  return node
}

/** Runs what seeder-kubeadm.service runs. */
export async function callKubeadm(node: Node) {
  await node.write('/var/calls', '')
  await node.write('/dev/console', '')
  const { exitCode, stdout, stderr } = await node.enter('/usr/lib/seeder/kubeadm')
  const lines = async (file: string) =>
    ((await node.read(file)) ?? '').split('\n').filter((line) => line !== '')
  return {
    exitCode,
    stdout,
    stderr,
    calls: await lines('/var/calls'),
    console: await lines('/dev/console'),
  }
}

/** The documents of a configuration for kubeadm, which kubeadm itself has checked. */
export function parseKubeadmConfig(text: string | undefined): unknown[] {
  return parseAllDocuments(text ?? '').map((document) => document.toJS())
}
