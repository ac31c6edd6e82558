import { parseAllDocuments } from 'yaml'
import { z } from 'zod'
import type { NodeValues } from '../../guest/node-env.ts'
import type { Platform } from '../../platform/schema.ts'
import { formatPort } from '../../platform/schema.ts'
import { expect } from '../checks.ts'

const KUBEADM_API = 'kubeadm.k8s.io/v1beta4'
const nameValue = z.object({ name: z.string(), value: z.string() })

/** The parts of kubeadm's configuration that a control plane needs. */
const schemas = {
  InitConfiguration: z.object({
    apiVersion: z.literal(KUBEADM_API),
    localAPIEndpoint: z.object({ advertiseAddress: z.string(), bindPort: z.literal(6443) }),
    nodeRegistration: z.object({
      name: z.string(),
      criSocket: z.literal('unix:///run/containerd/containerd.sock'),
      kubeletExtraArgs: z.array(nameValue),
    }),
  }),
  ClusterConfiguration: z.object({
    apiVersion: z.literal(KUBEADM_API),
    clusterName: z.string(),
    kubernetesVersion: z.string().regex(/^v1\.\d+\.\d+/),
    controlPlaneEndpoint: z.string(),
    networking: z.object({ podSubnet: z.string(), serviceSubnet: z.string() }),
    etcd: z.object({
      external: z.object({
        endpoints: z.array(z.string()),
        caFile: z.string(),
        certFile: z.string(),
        keyFile: z.string(),
      }),
    }),
    apiServer: z.object({ extraArgs: z.array(nameValue) }),
  }),
  KubeProxyConfiguration: z.object({ mode: z.enum(['iptables', 'nftables']) }),
  KubeletConfiguration: z.object({ cgroupDriver: z.literal('systemd'), volumePluginDir: z.string() }),
} as const

/** Where the expected configuration comes from. */
export interface ExpectedConfiguration {
  readonly platform: Platform
  readonly hostname: string
  readonly values: NodeValues
}

/**
 * Reads the configuration of `kubeadm init` and compares it with the node's values and the platform file.
 * @returns the files that it names, which have to exist
 * @throws SeederError with everything that is missing or differs
 */
export function compareInitConfiguration(text: string, expected: ExpectedConfiguration): string[] {
  const documents = new Map<string, unknown>(
    parseAllDocuments(text).map((document) => {
      const value = document.toJS()
      return [z.object({ kind: z.string() }).parse(value).kind, value]
    }),
  )
  const read = <S extends z.ZodType>(kind: string, schema: S): z.output<S> => {
    const parsed = schema.safeParse(documents.get(kind))
    const issue = parsed.error?.issues[0]
    expect(parsed.success, `${kind}.${issue?.path.join('.')}: ${issue?.message}`)
    return parsed.data
  }
  const init = read('InitConfiguration', schemas.InitConfiguration)
  const cluster = read('ClusterConfiguration', schemas.ClusterConfiguration)
  const proxy = read('KubeProxyConfiguration', schemas.KubeProxyConfiguration)
  const kubelet = read('KubeletConfiguration', schemas.KubeletConfiguration)

  const { values, platform, hostname } = expected
  const { external } = cluster.etcd
  const argument = (list: readonly z.output<typeof nameValue>[], name: string) =>
    list.find((argument) => argument.name === name)?.value
  const pairs: readonly (readonly [string, string | undefined, string | undefined])[] = [
    ['the node’s name', init.nodeRegistration.name, hostname],
    ['the advertised address', init.localAPIEndpoint.advertiseAddress, values.NODE_ADDRESS],
    ['node-ip', argument(init.nodeRegistration.kubeletExtraArgs, 'node-ip'), values.NODE_ADDRESS],
    ['controlPlaneEndpoint', cluster.controlPlaneEndpoint, values.CONTROL_PLANE_ENDPOINT],
    ['clusterName', cluster.clusterName, values.CLUSTER_NAME],
    ['podSubnet', cluster.networking.podSubnet, platform.cluster.pods.cidr],
    ['serviceSubnet', cluster.networking.serviceSubnet, platform.cluster.services.cidr],
    ['etcd’s endpoints', external.endpoints.join(' '), etcdUrls(values.ETCD_ENDPOINTS ?? '')],
    ['the mode of kube-proxy', proxy.mode, values.KUBE_PROXY_MODE ?? 'iptables'],
    [
      'the range of NodePorts',
      argument(cluster.apiServer.extraArgs, 'service-node-port-range'),
      formatPort(platform.cluster.nodePorts),
    ],
  ]
  const wrong = pairs.filter(([, found, wanted]) => found !== wanted)
  expect(
    wrong.length === 0,
    wrong.map(([what, found, wanted]) => `${what} is ${found}, expected ${wanted}`).join('; '),
  )
  expect(!kubelet.volumePluginDir.startsWith('/usr/'), `volumePluginDir is ${kubelet.volumePluginDir}`)
  return [external.caFile, external.certFile, external.keyFile, kubelet.volumePluginDir]
}

function etcdUrls(addresses: string): string {
  return addresses
    .split(' ')
    .map((address) => `https://${address}:2379`)
    .join(' ')
}
