import { createHash, randomBytes } from 'node:crypto'
import type { NodeValues } from '../../guest/node-env.ts'
import type { VendorFile } from '../../guest/vendor-data.ts'
import type { Platform } from '../../platform/schema.ts'
import type { TestAuthority, TestKeyPair } from '../certificates.ts'
import { addressIn, type MachineSpec, nodeAddress } from '../site.ts'

export const API_PORT = 6443

/** What a node needs once, and must not keep. */
export interface Secrets {
  readonly token: string
  readonly certificateKey: string
  /** Not secret: the digest of the cluster CA's public key. */
  readonly caHash: string
}

/** Secrets of a cluster that does not exist. */
export function makeSecrets(): Secrets {
  const letters = 'abcdefghijklmnopqrstuvwxyz0123456789'
  const word = (length: number) =>
    [...randomBytes(length)].map((byte) => letters[byte % letters.length]).join('')
  return {
    token: `${word(6)}.${word(16)}`,
    certificateKey: randomBytes(32).toString('hex'),
    caHash: `sha256:${createHash('sha256').update(randomBytes(32)).digest('hex')}`,
  }
}

/** The endpoint of the cluster's API: the load balancers' VIP among the nodes, or else the first control plane. */
export function apiEndpoint(platform: Platform, controlPlane: MachineSpec): string {
  const zone = platform.roles['control-plane'].zones[0] ?? ''
  return `${findApiVip(platform)?.address ?? addressIn(controlPlane, zone)}:${API_PORT}`
}

/** The VIP of the API: the one of the load balancers in a zone of the control planes. */
export function findApiVip(platform: Platform): Platform['vips'][string] | undefined {
  const zones = platform.roles['control-plane'].zones
  return Object.values(platform.vips).find(({ role, zone }) => role === 'haproxy' && zones.includes(zone))
}

/** The addresses of three members of etcd, which do not exist. */
export function etcdEndpoints(platform: Platform): string[] {
  const zone = platform.roles.etcd.zones[0] ?? ''
  return [1, 2, 3].map((place) => nodeAddress(platform, zone, place, 'etcd'))
}

/** The values of a control plane that begins a cluster. */
export function initValues(
  platform: Platform,
  machine: MachineSpec,
  secrets: Secrets,
  endpoints: readonly string[],
): NodeValues {
  return {
    NODE_ROLE: 'control-plane',
    BOOTSTRAP: 'init',
    CONTROL_PLANE_ENDPOINT: apiEndpoint(platform, machine),
    NODE_ADDRESS: addressIn(machine, platform.roles['control-plane'].zones[0] ?? ''),
    ETCD_ENDPOINTS: endpoints.join(' '),
    JOIN_TOKEN: secrets.token,
    CERTIFICATE_KEY: secrets.certificateKey,
    CLUSTER_NAME: 'test',
  }
}

/** The values of a worker that joins. It has one card, so that it needs no NODE_ADDRESS. */
export function joinValues(platform: Platform, controlPlane: MachineSpec, secrets: Secrets): NodeValues {
  return {
    NODE_ROLE: 'worker',
    BOOTSTRAP: 'join',
    CONTROL_PLANE_ENDPOINT: apiEndpoint(platform, controlPlane),
    JOIN_TOKEN: secrets.token,
    JOIN_CA_HASH: secrets.caHash,
  }
}

/** Issues the API server's certificate for etcd. */
export function issueEtcdClient(etcd: TestAuthority): Promise<TestKeyPair> {
  const request = { commonName: 'kube-apiserver-etcd-client', usages: ['clientAuth'] } as const
  return etcd.issue('apiserver-etcd-client', request)
}

/** The files of a control plane beside node.env: the API server's certificate for etcd. */
export function controlPlaneFiles(etcd: Pick<TestAuthority, 'cert'>, client: TestKeyPair): VendorFile[] {
  return [
    { path: '/etc/seeder/trust/etcd-ca.crt', permissions: '0644', content: etcd.cert },
    { path: '/etc/seeder/tls/apiserver-etcd-client.crt', permissions: '0644', content: client.cert },
    { path: '/etc/seeder/tls/apiserver-etcd-client.key', permissions: '0600', content: client.key },
  ]
}
