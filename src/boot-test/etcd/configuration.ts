import type { NodeValues } from '../../guest/node-env.ts'
import type { VendorFile } from '../../guest/vendor-data.ts'
import type { CertificateRequest, TestAuthority, TestKeyPair } from '../certificates.ts'
import { addressIn, type MachineSpec, type Peer } from '../site.ts'

/** The label of the data disk, which one of the clones has. */
export const dataLabel = 'etcd-data'
/** The token of the proof's cluster. */
export const token = 'proof-1'

/** A member's name and the address the others know it by. */
export function memberOf(seat: MachineSpec): Peer {
  return { name: seat.hostname, address: addressIn(seat, seat.nics[0]?.zone ?? '') }
}

/** The value of ETCD_MEMBERS. */
export function memberList(members: readonly Peer[]): string {
  return members.map(({ name, address }) => `${name}=${address}`).join(' ')
}

/** The values of a member of a cluster that is founded. */
export function founderValues(members: readonly Peer[], dataDisk = false): NodeValues {
  return {
    ETCD_STATE: 'new',
    ETCD_MEMBERS: memberList(members),
    ETCD_TOKEN: token,
    ...(dataDisk ? { ETCD_DATA_DISK: dataLabel } : {}),
  }
}

/** The values of a member that joins, with the list that the operator's command has printed. */
export function joinerValues(members: string): NodeValues {
  return { ETCD_STATE: 'existing', ETCD_MEMBERS: members }
}

/** What `/usr/lib/seeder/etcd add` prints for the new node's node.env: the value of its line ETCD_MEMBERS. */
export function printedMembers(output: string): string | undefined {
  return /^\s*ETCD_MEMBERS=(["']?)([^"'\n]*)\1\s*$/m.exec(output)?.[2]
}

/** What a member's certificate has to say: its name, its address, and that it serves and asks. */
export function memberSubject({ name, address }: Peer): CertificateRequest {
  return {
    commonName: name,
    dnsNames: [name, 'localhost'],
    addresses: [address, '127.0.0.1'],
    usages: ['serverAuth', 'clientAuth'],
  }
}

/** The files that a member gets beside node.env. */
export function memberFiles(authority: TestAuthority, pair: TestKeyPair): VendorFile[] {
  return [
    { path: '/etc/seeder/trust/etcd-ca.crt', permissions: '0644', content: authority.cert },
    { path: '/etc/seeder/tls/etcd.crt', permissions: '0644', content: pair.cert },
    { path: '/etc/seeder/tls/etcd.key', permissions: '0600', content: pair.key },
  ]
}
