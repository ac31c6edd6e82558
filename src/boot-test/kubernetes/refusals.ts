import type { NodeValues } from '../../guest/node-env.ts'
import { type BadValue, checkRefusals } from '../first-boot.ts'
import { etcdEndpoints, initValues } from './configuration.ts'
import type { KubernetesTestBed } from './test-bed.ts'

/** The values with which the spare control plane would begin the cluster. */
export function spareValues({ platform, spare, secrets }: KubernetesTestBed): NodeValues {
  return initValues(platform, spare.machine, secrets, etcdEndpoints(platform))
}

/** Tries every bad value and file on the spare control plane, which has no role yet. */
export async function checkBadValues(bed: KubernetesTestBed): Promise<string> {
  const { spare, etcdAuthority, etcdClient, files } = bed
  const other = await etcdAuthority.issue('other', { commonName: 'other', usages: ['clientAuth'] })
  const join = { BOOTSTRAP: 'join', JOIN_CA_HASH: bed.secrets.caHash }
  const key = '/etc/seeder/tls/apiserver-etcd-client.key'
  const ca = '/etc/seeder/trust/etcd-ca.crt'
  const bad: BadValue[] = [
    { what: 'no role', values: { NODE_ROLE: '' }, named: ['NODE_ROLE'] },
    { what: 'an unknown role', values: { NODE_ROLE: 'master' }, named: ['NODE_ROLE', 'master'] },
    { what: 'an unknown bootstrap', values: { BOOTSTRAP: 'maybe' }, named: ['BOOTSTRAP', 'maybe'] },
    {
      what: 'a worker that begins a cluster',
      values: { NODE_ROLE: 'worker', CERTIFICATE_KEY: '' },
      named: ['BOOTSTRAP'],
    },
    { what: 'no endpoint', values: { CONTROL_PLANE_ENDPOINT: '' }, named: ['CONTROL_PLANE_ENDPOINT'] },
    {
      what: 'an endpoint without a port',
      values: { CONTROL_PLANE_ENDPOINT: 'api.example' },
      named: ['CONTROL_PLANE_ENDPOINT', 'api.example'],
    },
    { what: 'no choice between two addresses', values: { NODE_ADDRESS: '' }, named: ['NODE_ADDRESS'] },
    { what: 'no etcd', values: { ETCD_ENDPOINTS: '' }, named: ['ETCD_ENDPOINTS'] },
    { what: 'an invalid token', values: { JOIN_TOKEN: 'sesame' }, named: ['JOIN_TOKEN'] },
    {
      what: 'an invalid certificate key',
      values: { CERTIFICATE_KEY: 'sesame' },
      named: ['CERTIFICATE_KEY'],
    },
    { what: 'a join without a hash', values: { ...join, JOIN_CA_HASH: '' }, named: ['JOIN_CA_HASH'] },
    { what: 'a join without a token', values: { ...join, JOIN_TOKEN: '' }, named: ['JOIN_TOKEN'] },
    {
      what: 'a control plane that joins without the certificate key',
      values: { ...join, CERTIFICATE_KEY: '' },
      named: ['CERTIFICATE_KEY'],
    },
    {
      what: 'a deprecated mode of kube-proxy',
      values: { KUBE_PROXY_MODE: 'ipvs' },
      named: ['KUBE_PROXY_MODE', 'ipvs'],
    },
    {
      what: 'pods in the range of the services',
      values: { POD_CIDR: '10.96.0.0/16', SERVICE_CIDR: '10.96.0.0/12' },
      named: ['POD_CIDR', 'SERVICE_CIDR'],
    },
    { what: 'a range with host bits', values: { SERVICE_CIDR: '10.96.0.1/12' }, named: ['SERVICE_CIDR'] },
    { what: 'an invalid name', values: { CLUSTER_NAME: 'Our_Own' }, named: ['CLUSTER_NAME', 'Our_Own'] },
    { what: 'an unknown key', values: { NODE_LABELS: 'a=b' }, named: ['NODE_LABELS'] },
    {
      what: 'another certificate’s key',
      values: {},
      files: [{ path: key, permissions: '0600', content: other.key }],
      named: [key],
    },
    {
      what: 'an authority with a key',
      values: {},
      files: [{ path: ca, permissions: '0644', content: `${etcdAuthority.cert}${etcdClient.key}` }],
      named: [ca, 'private key'],
    },
  ]
  return checkRefusals(spare, spareValues(bed), files, bad)
}
