import type { NodeValues } from '../../guest/node-env.ts'
import { type BadValue, refuseAll } from '../first-boot.ts'
import { etcdEndpoints, initValues } from './configuration.ts'
import type { NodeStage } from './test-bed.ts'

/** An address no check may accept. */
export const badAddress = '10.0.0.700'

/** The values of the spare control plane, if it were to begin the cluster. */
export function spareValues({ platform, spare, secrets }: NodeStage): NodeValues {
  return initValues(platform, spare.seat, secrets, etcdEndpoints(platform))
}

/** Gives a clone that has no role yet every value and file it must not accept. */
export async function checkBadValues(stage: NodeStage): Promise<string> {
  const { spare, etcdAuthority, etcdClient, files } = stage
  const other = await etcdAuthority.issue('other', { commonName: 'other', usages: ['clientAuth'] })
  const join = { BOOTSTRAP: 'join', JOIN_CA_HASH: stage.secrets.caHash }
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
    { what: 'none of two addresses', values: { NODE_ADDRESS: '' }, named: ['NODE_ADDRESS'] },
    { what: 'no etcd', values: { ETCD_ENDPOINTS: '' }, named: ['ETCD_ENDPOINTS'] },
    { what: 'a token that is none', values: { JOIN_TOKEN: 'sesame' }, named: ['JOIN_TOKEN'] },
    {
      what: 'a certificate key that is none',
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
      what: 'a mode of kube-proxy that is going away',
      values: { KUBE_PROXY_MODE: 'ipvs' },
      named: ['KUBE_PROXY_MODE', 'ipvs'],
    },
    {
      what: 'pods among the services',
      values: { POD_CIDR: '10.96.0.0/16', SERVICE_CIDR: '10.96.0.0/12' },
      named: ['POD_CIDR', 'SERVICE_CIDR'],
    },
    { what: 'a range of hosts', values: { SERVICE_CIDR: '10.96.0.1/12' }, named: ['SERVICE_CIDR'] },
    { what: 'a name that is none', values: { CLUSTER_NAME: 'Our_Own' }, named: ['CLUSTER_NAME', 'Our_Own'] },
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
  return refuseAll(spare.clone, spareValues(stage), files, bad)
}
