import { parseAllDocuments } from 'yaml'
import { z } from 'zod'

// Of each kind the fields that Seeder writes, in the form that kubeadm's published reference of v1beta4 gives them. A
// field that is not here is an error, as it is to `kubeadm config validate`.

const ipv4 = z.ipv4()
const cidr = z.cidrv4()
const kubeadm = z.literal('kubeadm.k8s.io/v1beta4')
const args = z
  .array(z.strictObject({ name: z.string().regex(/^[a-z][a-z0-9-]*$/), value: z.string() }))
  .min(1)
const hostPort = z.string().regex(/^[a-z0-9.-]+:\d+$/)
const bootstrapToken = z.string().regex(/^[a-z0-9]{6}\.[a-z0-9]{16}$/)
const certificateKey = z.string().regex(/^[0-9a-f]{64}$/)
const apiEndpoint = z.strictObject({ advertiseAddress: ipv4, bindPort: z.int() })
const absolute = z.string().startsWith('/')

const nodeRegistration = z.strictObject({
  name: z.string().regex(/^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/),
  criSocket: z.string().startsWith('unix:///'),
  kubeletExtraArgs: args,
})

const init = z.strictObject({
  apiVersion: kubeadm,
  kind: z.literal('InitConfiguration'),
  bootstrapTokens: z
    .array(z.strictObject({ token: bootstrapToken, ttl: z.string().regex(/^(\d+[hms])+$/) }))
    .min(1)
    .optional(),
  certificateKey: certificateKey.optional(),
  localAPIEndpoint: apiEndpoint,
  nodeRegistration,
})

const cluster = z.strictObject({
  apiVersion: kubeadm,
  kind: z.literal('ClusterConfiguration'),
  clusterName: z.string().min(1),
  kubernetesVersion: z.string().regex(/^v1\.\d+\.\d+$/),
  controlPlaneEndpoint: hostPort,
  networking: z.strictObject({ podSubnet: cidr, serviceSubnet: cidr }),
  etcd: z.strictObject({
    external: z.strictObject({
      endpoints: z.array(z.url({ protocol: /^https$/ })).min(1),
      caFile: absolute,
      certFile: absolute,
      keyFile: absolute,
    }),
  }),
  apiServer: z.strictObject({ extraArgs: args }),
  controllerManager: z.strictObject({ extraArgs: args }),
})

const join = z.strictObject({
  apiVersion: kubeadm,
  kind: z.literal('JoinConfiguration'),
  discovery: z.strictObject({
    bootstrapToken: z.strictObject({
      apiServerEndpoint: hostPort,
      token: bootstrapToken,
      caCertHashes: z.array(z.string().regex(/^sha256:[0-9a-f]{64}$/)).min(1),
    }),
  }),
  controlPlane: z.strictObject({ certificateKey, localAPIEndpoint: apiEndpoint }).optional(),
  nodeRegistration,
})

const kubeProxy = z.strictObject({
  apiVersion: z.literal('kubeproxy.config.k8s.io/v1alpha1'),
  kind: z.literal('KubeProxyConfiguration'),
  mode: z.enum(['iptables', 'nftables']),
})

const kubelet = z.strictObject({
  apiVersion: z.literal('kubelet.config.k8s.io/v1beta1'),
  kind: z.literal('KubeletConfiguration'),
  cgroupDriver: z.literal('systemd'),
  volumePluginDir: absolute,
})

const file = z.union([z.tuple([init, cluster, kubeProxy, kubelet]), z.tuple([join])])

/**
 * The documents of a configuration for `kubeadm init` or `kubeadm join`, in their order.
 * @throws when it is not YAML, has a key twice, a field that kubeadm does not know, or a value of the wrong form
 */
export function parseKubeadmConfig(text: string | undefined): z.output<typeof file> {
  const documents = [...parseAllDocuments(text ?? '', { uniqueKeys: true, strict: true })]
  const complaints = documents.flatMap(({ errors, warnings }) => [...errors, ...warnings])
  if (complaints.length > 0) throw complaints[0]
  return file.parse(documents.map((document) => document.toJS()))
}
