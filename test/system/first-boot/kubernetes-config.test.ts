import { afterEach, beforeAll, expect, test } from 'vitest'
import {
  caHash,
  certificateKey,
  controlPlaneCards,
  type EtcdFiles,
  files,
  firewallOf,
  makeEtcdFiles,
  makeKubernetesNode,
  type NodeEnv,
  nodeEnvs,
  parseKubeadmConfig,
  token,
} from '../../support/first-boot/kubernetes-site.ts'
import type { Node } from '../../support/first-boot/node.ts'

let etcd: EtcdFiles
let node: Node
beforeAll(async () => {
  etcd = await makeEtcdFiles()
})
afterEach(() => node.dispose())

async function boot(env: NodeEnv, more = '') {
  node = await makeKubernetesNode(etcd, env)
  await node.write(files.nodeEnv, nodeEnvs[env] + more)
  return node.boot()
}

const registration = (name: string, address: string) => ({
  name,
  criSocket: 'unix:///run/containerd/containerd.sock',
  kubeletExtraArgs: [{ name: 'node-ip', value: address }],
})
const api = { advertiseAddress: '10.0.0.66', bindPort: 6443 }
const kubeadm = 'kubeadm.k8s.io/v1beta4'

test('a control plane that begins the cluster: everything about it is written down', async () => {
  const { exitCode, console, calls, status } = await boot('init')
  expect(console).toEqual([
    'seeder-first-boot: ready: control-plane 10.0.0.66, begins the cluster behind 10.0.0.115:6443',
  ])
  expect(exitCode).toBe(0)
  expect(status).toMatchObject({ image: 'kubernetes-node', role: 'control-plane', state: 'ready' })
  expect(calls).toEqual([
    'kubeadm version -o short',
    'kubeadm config validate --config /run/seeder/kubeadm.yaml.new',
    'reload-or-restart seeder-firewall.service',
    'networkctl reload',
    '--no-block restart seeder-kubeadm.service',
  ])
  expect(await node.read('/etc/seeder/service-route')).toBe('eth0 10.96.0.0/12\n')
  expect(parseKubeadmConfig(await node.read(files.config))).toEqual([
    {
      apiVersion: kubeadm,
      kind: 'InitConfiguration',
      bootstrapTokens: [{ token, ttl: '24h0m0s' }],
      certificateKey,
      localAPIEndpoint: api,
      nodeRegistration: registration('cp1', '10.0.0.66'),
    },
    {
      apiVersion: kubeadm,
      kind: 'ClusterConfiguration',
      clusterName: 'kubernetes',
      kubernetesVersion: 'v1.37.2',
      controlPlaneEndpoint: '10.0.0.115:6443',
      networking: { podSubnet: '10.32.0.0/12', serviceSubnet: '10.96.0.0/12' },
      etcd: {
        external: {
          endpoints: ['https://10.0.0.129:2379', 'https://10.0.0.130:2379', 'https://10.0.0.131:2379'],
          caFile: files.etcdCa,
          certFile: files.etcdCrt,
          keyFile: files.etcdKey,
        },
      },
      apiServer: { extraArgs: [{ name: 'service-node-port-range', value: '30000-32767' }] },
      controllerManager: {
        extraArgs: [{ name: 'flex-volume-plugin-dir', value: '/var/lib/kubelet/volumeplugins' }],
      },
    },
    { apiVersion: 'kubeproxy.config.k8s.io/v1alpha1', kind: 'KubeProxyConfiguration', mode: 'iptables' },
    {
      apiVersion: 'kubelet.config.k8s.io/v1beta1',
      kind: 'KubeletConfiguration',
      cgroupDriver: 'systemd',
      volumePluginDir: '/var/lib/kubelet/volumeplugins',
    },
  ])
})

const discovery = {
  bootstrapToken: { apiServerEndpoint: '10.0.0.115:6443', token, caCertHashes: [caHash] },
}

test('a further control plane', async () => {
  const { console } = await boot('joinControlPlane')
  expect(console).toEqual([
    'seeder-first-boot: ready: control-plane 10.0.0.66, joins the cluster behind 10.0.0.115:6443',
  ])
  expect(parseKubeadmConfig(await node.read(files.config))).toEqual([
    {
      apiVersion: kubeadm,
      kind: 'JoinConfiguration',
      discovery,
      controlPlane: { certificateKey, localAPIEndpoint: api },
      nodeRegistration: registration('cp1', '10.0.0.66'),
    },
  ])
})

test('a worker takes its only address, and its name from the machine', async () => {
  const { console, status } = await boot('joinWorker')
  expect(console).toEqual([
    'seeder-first-boot: ready: worker 10.0.0.70, joins the cluster behind 10.0.0.115:6443',
  ])
  expect(status.role).toBe('worker')
  expect(parseKubeadmConfig(await node.read(files.config))).toEqual([
    {
      apiVersion: kubeadm,
      kind: 'JoinConfiguration',
      discovery,
      nodeRegistration: registration('w1', '10.0.0.70'),
    },
  ])
})

test('values of its own instead of the defaults', async () => {
  node = await makeKubernetesNode(etcd, 'init')
  const own =
    'POD_CIDR=10.128.0.0/14\nSERVICE_CIDR=172.20.0.0/16\nCLUSTER_NAME=home-1\nKUBE_PROXY_MODE=nftables\n'
  const plain = nodeEnvs.init.replace(/JOIN_TOKEN=.*\n/, '').replace(/CERTIFICATE_KEY=.*\n/, '')
  await node.write(files.nodeEnv, plain.replace('10.0.0.115:6443', 'api.example.internal:7443') + own)
  await node.write('/etc/seeder/cluster.env', 'NODE_PORTS="31000-31999"\n')
  await node.write('/var/kubeadm-version', 'v1.36.4\n')
  node.hostname = 'CP1.Example.internal'
  expect((await node.boot()).status.state).toBe('ready')
  const [init, cluster, proxy] = parseKubeadmConfig(await node.read(files.config))
  expect(init).not.toHaveProperty('bootstrapTokens')
  expect(init).not.toHaveProperty('certificateKey')
  expect(init).toMatchObject({ nodeRegistration: { name: 'cp1.example.internal' } })
  expect(cluster).toMatchObject({
    clusterName: 'home-1',
    kubernetesVersion: 'v1.36.4',
    controlPlaneEndpoint: 'api.example.internal:7443',
    networking: { podSubnet: '10.128.0.0/14', serviceSubnet: '172.20.0.0/16' },
    apiServer: { extraArgs: [{ name: 'service-node-port-range', value: '31000-31999' }] },
  })
  expect(proxy).toMatchObject({ mode: 'nftables' })
})

test('what kubeadm has checked is what it will be called with, and only root reads it', async () => {
  await boot('joinWorker')
  expect(await node.read('/var/kubeadm/validated.yaml')).toBe(await node.read(files.config))
  expect(await node.read('/var/kubeadm/validated.mode')).toBe('600\n')
  expect(await node.mode(files.config)).toBe('600')
})

test('node.env and the key for etcd are for root alone, however they were delivered', async () => {
  node = await makeKubernetesNode(etcd, 'init')
  await node.write(files.nodeEnv, nodeEnvs.init, 0o644)
  await node.write(files.etcdKey, etcd.client.key, 0o644)
  await node.boot()
  expect(await node.mode(files.nodeEnv)).toBe('600')
  expect(await node.mode(files.etcdKey)).toBe('600')
})

test('the firewall is the role’s, loaded when it is another than before', async () => {
  const { calls } = await boot('joinWorker')
  expect(calls).not.toContain('reload-or-restart seeder-firewall.service')
  expect(await node.read(files.firewall)).toBe(firewallOf('worker'))
  await node.dispose()
  await boot('joinControlPlane')
  expect(await node.read(files.firewall)).toBe(firewallOf('control-plane'))
  expect((await node.boot()).calls).not.toContain('reload-or-restart seeder-firewall.service')
})

test('BOOTSTRAP=none: the firewall is there, kubeadm is not called', async () => {
  const { exitCode, console, calls } = await boot('none')
  expect(console).toEqual([
    'seeder-first-boot: ready: worker, prepared for a cluster; BOOTSTRAP is none: kubeadm is not called',
  ])
  expect(exitCode).toBe(0)
  expect(calls).toEqual([])
  expect(await node.read(files.config)).toBeUndefined()
})

test('BOOTSTRAP=none with several cards needs no address', async () => {
  node = await makeKubernetesNode(etcd, 'none')
  await node.write('/var/addresses', controlPlaneCards)
  expect((await node.boot()).status.state).toBe('ready')
})

test('a change to none ends what kubeadm was doing', async () => {
  await boot('joinWorker')
  await node.write(files.state, 'retrying: attempt 3\n')
  await node.write(files.nodeEnv, nodeEnvs.none)
  const { calls, status } = await node.run()
  expect(calls).toEqual(['stop seeder-kubeadm.service'])
  expect(await node.read(files.config)).toBeUndefined()
  expect(status.reason).not.toContain('retrying')
})

test('without a node.env the node is healthy, and says that it has nothing to do', async () => {
  node = await makeKubernetesNode(etcd, 'none')
  await node.remove(files.nodeEnv)
  const { exitCode, calls, status } = await node.boot()
  expect(exitCode).toBe(0)
  expect(calls).toEqual([])
  expect(status).toMatchObject({
    role: 'kubernetes-node',
    state: 'ready',
    reason: 'not configured: no NODE_ROLE in /etc/seeder/node.env',
  })
})

test('at the next boot the configuration is made again; in a running node the same values change nothing', async () => {
  await boot('joinWorker')
  expect((await node.run()).calls.at(-1)).toBe('--no-block start seeder-kubeadm.service')
  expect((await node.boot()).calls.at(-1)).toBe('--no-block restart seeder-kubeadm.service')
  expect(await node.read(`${files.config}.new`)).toBeUndefined()
})

test('kubeadm is called with a corrected token from then on', async () => {
  await boot('joinWorker')
  await node.write(files.nodeEnv, nodeEnvs.joinWorker.replace(token, 'zzzzzz.0123456789abcdef'))
  expect((await node.run()).calls.at(-1)).toBe('--no-block restart seeder-kubeadm.service')
  expect(await node.read(files.config)).toContain('token: "zzzzzz.0123456789abcdef"')
})
