import { expect, test } from 'vitest'
import {
  apiEndpoint,
  etcdEndpoints,
  initValues,
  joinValues,
  makeSecrets,
} from '../../../../src/boot-test/kubernetes/configuration.ts'
import {
  checkSecretFiles,
  lastFindings,
  parseKubeadmState,
} from '../../../../src/boot-test/kubernetes/kubeadm-checks.ts'
import { compareInitConfiguration } from '../../../../src/boot-test/kubernetes/kubeadm-configuration.ts'
import { layOutSite, machineOf } from '../../../../src/boot-test/site.ts'
import { loadPlatform } from '../../../../src/platform/load.ts'

const platform = await loadPlatform('platform.yaml')
const site = layOutSite(platform, [{ hostname: 'cp1', role: 'control-plane', number: 0 }])
const machine = machineOf(site, 'cp1')
const secrets = makeSecrets()
const values = initValues(platform, machine, secrets, etcdEndpoints(platform))

const configuration = `apiVersion: kubeadm.k8s.io/v1beta4
kind: InitConfiguration
localAPIEndpoint: { advertiseAddress: 10.0.0.65, bindPort: 6443 }
nodeRegistration:
  name: cp1
  criSocket: unix:///run/containerd/containerd.sock
  kubeletExtraArgs: [{ name: node-ip, value: 10.0.0.65 }]
---
apiVersion: kubeadm.k8s.io/v1beta4
kind: ClusterConfiguration
clusterName: test
kubernetesVersion: v1.37.1
controlPlaneEndpoint: 10.0.0.115:6443
networking: { podSubnet: 10.32.0.0/12, serviceSubnet: 10.96.0.0/12 }
etcd:
  external:
    endpoints: ['https://10.0.0.129:2379', 'https://10.0.0.130:2379', 'https://10.0.0.131:2379']
    caFile: /ca
    certFile: /crt
    keyFile: /key
apiServer:
  extraArgs: [{ name: service-node-port-range, value: 30000-32767 }]
---
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: iptables
---
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
cgroupDriver: systemd
volumePluginDir: /var/lib/kubelet/volumeplugins
`

test('the API’s endpoint is the load balancers’ VIP among the nodes', () => {
  expect(apiEndpoint(platform, machine)).toBe('10.0.0.115:6443')
  const alone = structuredClone(platform)
  alone.vips = {}
  expect(apiEndpoint(alone, machine)).toBe('10.0.0.65:6443')
  expect(values).toMatchObject({
    NODE_ADDRESS: '10.0.0.65',
    ETCD_ENDPOINTS: '10.0.0.129 10.0.0.130 10.0.0.131',
  })
})

test('secrets have kubeadm’s form, and a worker does not get the certificate key', () => {
  expect(secrets.token).toMatch(/^[a-z0-9]{6}\.[a-z0-9]{16}$/)
  expect(secrets.certificateKey).toMatch(/^[0-9a-f]{64}$/)
  expect(secrets.caHash).toMatch(/^sha256:[0-9a-f]{64}$/)
  expect(makeSecrets().token).not.toBe(secrets.token)
  expect(Object.keys(joinValues(platform, machine, secrets))).not.toContain('CERTIFICATE_KEY')
})

test('a configuration as expected passes, and its files are returned', () => {
  const expected = { platform, hostname: 'cp1', values }
  expect(compareInitConfiguration(configuration, expected)).toEqual([
    '/ca',
    '/crt',
    '/key',
    '/var/lib/kubelet/volumeplugins',
  ])
  const refused: [string | RegExp, string, string][] = [
    ['v1beta4', 'v1beta3', 'InitConfiguration.apiVersion'],
    ['name: cp1', 'name: cp9', 'the node’s name is cp9, expected cp1'],
    ['10.0.0.130', '10.0.0.140', 'etcd’s endpoints'],
    ['podSubnet: 10.32', 'podSubnet: 10.48', 'podSubnet is 10.48.0.0/12'],
    ['mode: iptables', 'mode: ipvs', 'KubeProxyConfiguration.mode'],
    ['mode: iptables', 'mode: nftables', 'the mode of kube-proxy is nftables'],
    ['/var/lib/kubelet/volume', '/usr/libexec/volume', 'volumePluginDir is /usr/libexec'],
    ['kind: KubeletConfiguration', 'kind: Other', 'KubeletConfiguration.'],
    ['service-node-port-range', 'other', 'the range of NodePorts is undefined'],
  ]
  for (const [from, to, found] of refused) {
    expect(() => compareInitConfiguration(configuration.replace(from, to), expected)).toThrow(found)
  }
})

test('parses the state of kubeadm', () => {
  expect(parseKubeadmState('done: kubeadm init of a control-plane, attempt 1\n')).toEqual({
    state: 'done',
    text: 'kubeadm init of a control-plane, attempt 1',
  })
  expect(parseKubeadmState('retrying: attempt 1 of kubeadm join came to nothing: x')?.state).toBe('retrying')
  expect(parseKubeadmState('')).toBeUndefined()
  expect(parseKubeadmState('what: x')).toBeUndefined()
})

test('only root can read secrets, and they are gone once they were used', () => {
  const own = '600 root /var/lib/cloud/instances/i/vendor-data.txt'
  expect(checkSecretFiles(`${own}\njournal 0\n`, true)).toContain('only root can read: /var/lib/cloud')
  expect(checkSecretFiles('journal 0\n', true)).toContain('nothing')
  expect(() => checkSecretFiles(`${own}\n644 root /run/x y\njournal 0\n`, false)).toThrow('644 root /run/x y')
  expect(() => checkSecretFiles('640 adm /var/log/cloud-init.log\njournal 0\n', false)).toThrow('640 adm')
  expect(checkSecretFiles('640 root /etc/seeder/node.env\njournal 0\n', false)).toContain('still needed')
  expect(() => checkSecretFiles('600 root /etc/seeder/node.env\njournal 0\n', true)).toThrow('still in')
  expect(() => checkSecretFiles('journal 2\n', true)).toThrow('in the journal: 2')
  expect(() => checkSecretFiles('', true)).toThrow('in the journal')
})

test('of several attempts only the last one counts', () => {
  const journal = `calling kubeadm init for a control-plane, attempt 1
\t[WARNING Swap]: swap is supported
\t[ERROR CRI]: context deadline exceeded
\t[ERROR ExternalEtcdVersion]: connection refused
calling kubeadm init for a control-plane, attempt 2
\t[ERROR ExternalEtcdVersion]: no route to host`
  expect(lastFindings(journal)).toEqual([
    { level: 'ERROR', name: 'ExternalEtcdVersion', text: 'no route to host' },
  ])
})
