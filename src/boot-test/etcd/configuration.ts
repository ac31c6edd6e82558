import type { NodeValues } from '../../guest/node-env.ts'
import type { VendorFile } from '../../guest/vendor-data.ts'
import type { CertificateRequest, TestAuthority, TestKeyPair } from '../certificates.ts'
import { addressIn, type MachineSpec, type Peer } from '../site.ts'

/** The label of the data disk of one clone. */
export const DATA_LABEL = 'etcd-data'
/** The token of the test's cluster. */
const CLUSTER_TOKEN = 'test-1'

/** A machine as a member: its name and the address that the others use. */
export function memberOf(machine: MachineSpec): Peer {
  return { name: machine.hostname, address: addressIn(machine, machine.nics[0]?.zone ?? '') }
}

/** The value of ETCD_MEMBERS. */
export function memberList(members: readonly Peer[]): string {
  return members.map(({ name, address }) => `${name}=${address}`).join(' ')
}

/** The values of a member that founds a cluster. */
export function founderValues(members: readonly Peer[], dataDisk = false): NodeValues {
  return {
    ETCD_STATE: 'new',
    ETCD_MEMBERS: memberList(members),
    ETCD_TOKEN: CLUSTER_TOKEN,
    ...(dataDisk ? { ETCD_DATA_DISK: DATA_LABEL } : {}),
  }
}

/** The values of a member that joins, with the list that the operator's command printed. */
export function joinerValues(members: string): NodeValues {
  return { ETCD_STATE: 'existing', ETCD_MEMBERS: members }
}

/** The value of the line ETCD_MEMBERS that `/usr/lib/seeder/etcd add` prints for the new node's node.env. */
export function printedMembers(output: string): string | undefined {
  return /^\s*ETCD_MEMBERS=(["']?)([^"'\n]*)\1\s*$/m.exec(output)?.[2]
}

/** The certificate of a member, which is both a server and a client. */
export function memberSubject({ name, address }: Peer): CertificateRequest {
  return {
    commonName: name,
    dnsNames: [name, 'localhost'],
    addresses: [address, '127.0.0.1'],
    usages: ['serverAuth', 'clientAuth'],
  }
}

/** The files of a member beside node.env. */
export function memberFiles(authority: TestAuthority, pair: TestKeyPair): VendorFile[] {
  return [
    { path: '/etc/seeder/trust/etcd-ca.crt', permissions: '0644', content: authority.cert },
    { path: '/etc/seeder/tls/etcd.crt', permissions: '0644', content: pair.cert },
    { path: '/etc/seeder/tls/etcd.key', permissions: '0600', content: pair.key },
  ]
}
