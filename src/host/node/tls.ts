import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { NodeValues } from '../../guest/node-env.ts'
import type { VendorFile } from '../../guest/vendor-data.ts'
import type { Authority } from '../../pki/authority.ts'
import type { Issued } from '../../pki/issue.ts'
import type { RoleName } from '../../platform/schema.ts'
import { readAuthorities, readPair } from '../certificates.ts'
import { mainAddress } from './ledger.ts'
import type { Placement } from './placement.ts'

/** A source of certificates for nodes. Each function returns the files for the node. */
export interface Certificates {
  /** The certificate of an etcd member, its key, and the CA. */
  etcdMember(placement: Placement): Promise<VendorFile[]>
  /** The certificate that the first control plane presents to etcd, its key, and the CA. */
  etcdClient(): Promise<VendorFile[]>
  /** The cluster's CA, by which a load balancer recognizes API servers; no file while there is no CA. */
  kubernetesAuthority(): Promise<VendorFile[]>
}

/** The files that a node of a role gets beside node.env. */
export async function certificateFiles(
  certificates: Certificates,
  role: RoleName,
  given: NodeValues,
  placement: Placement,
): Promise<VendorFile[]> {
  if (role === 'etcd') return certificates.etcdMember(placement)
  if (role === 'haproxy') return certificates.kubernetesAuthority()
  return role === 'control-plane' && given.BOOTSTRAP === 'init' ? certificates.etcdClient() : []
}

/** Certificates from a folder: `etcd-ca.crt`, `NAME.crt`, `NAME.key`, and so on. */
export function certificatesIn(folder: string): Certificates {
  const etcdAuthority = async () => {
    const file = join(folder, 'etcd-ca.crt')
    // Without it, the image has to have the CA.
    return existsSync(file) ? await readAuthorities(file) : undefined
  }
  return {
    async etcdMember(placement) {
      const { name } = placement
      const authority = await etcdAuthority()
      const pair = await readPair(join(folder, `${name}.crt`), join(folder, `${name}.key`), authority, {
        names: [name],
        addresses: [mainAddress(placement)],
        usages: ['serverAuth', 'clientAuth'],
      })
      return [...trustFiles('etcd-ca', authority), ...pairFiles('etcd', pair)]
    },
    async etcdClient() {
      const authority = await etcdAuthority()
      const [crt, key] = ['crt', 'key'].map((kind) => join(folder, `apiserver-etcd-client.${kind}`))
      const pair = await readPair(crt ?? '', key ?? '', authority, {
        names: [],
        addresses: [],
        usages: ['clientAuth'],
      })
      return [...trustFiles('etcd-ca', authority), ...pairFiles('apiserver-etcd-client', pair)]
    },
    async kubernetesAuthority() {
      const file = join(folder, 'kubernetes-ca.crt')
      return existsSync(file) ? trustFiles('kubernetes-ca', await readAuthorities(file)) : []
    },
  }
}

/** A placeholder in plans for a certificate or a key that `create` issues. */
const TO_BE_ISSUED = '(issued when the node is created)\n'

/**
 * Certificates from the operator's PKI, which is opened with the first request.
 * @param issue false for a plan, which changes nothing
 */
export function certificatesOfPki(open: () => Promise<Authority>, issue: boolean): Certificates {
  const files = async (name: string, request: (authority: Authority) => Promise<Issued>) => {
    const authority = await open()
    const { certificate } = await authority.certificate('etcd-ca')
    const pair = issue ? (await request(authority)).pair : { certificate: TO_BE_ISSUED, key: TO_BE_ISSUED }
    return [...trustFiles('etcd-ca', certificate), ...pairFiles(name, pair)]
  }
  return {
    etcdMember: (placement) =>
      files('etcd', (authority) => authority.issueEtcdMember(placement.name, mainAddress(placement))),
    etcdClient: () => files('apiserver-etcd-client', (authority) => authority.issueApiserverEtcdClient()),
    // The CA of the cluster's API servers is not known here: kubeadm may have made its own.
    kubernetesAuthority: async () => [],
  }
}

function trustFiles(name: string, content: string | undefined): VendorFile[] {
  return content === undefined
    ? []
    : [{ path: `/etc/seeder/trust/${name}.crt`, permissions: '0644', content }]
}

function pairFiles(name: string, { certificate, key }: { certificate: string; key: string }): VendorFile[] {
  return [
    { path: `/etc/seeder/tls/${name}.crt`, permissions: '0644', content: certificate },
    { path: `/etc/seeder/tls/${name}.key`, permissions: '0600', content: key },
  ]
}
