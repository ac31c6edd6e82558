import type { NodeValues } from '../../guest/node-env.ts'
import { BAD_ADDRESS, type BadValue, checkRefusals } from '../first-boot.ts'
import { founderValues, memberFiles, memberList, memberOf, memberSubject } from './configuration.ts'
import { type ClusterMember, type EtcdTestBed, hostnames, peersOf } from './test-bed.ts'

/** The values of a founder that is too late: the founders and itself. */
export function lateFounderValues(bed: EtcdTestBed): NodeValues {
  return founderValues(peersOf(bed, [...hostnames.founders.slice(1), hostnames.lateFounder]))
}

/** Tries every bad value and file on a clone that is not a member. */
export async function checkBadValues(bed: EtcdTestBed, late: ClusterMember): Promise<string> {
  const { authority, foreign, pairs } = bed
  const own = pairs.get(late.name) ?? { cert: '', key: '' }
  const others = pairs.get(hostnames.founders[0]) ?? own
  const foreignPair = await foreign.issue('foreign-late', memberSubject(memberOf(late.machine)))
  const good = lateFounderValues(bed)
  const peers = peersOf(bed, hostnames.founders)
  const file = (path: string, content: string) => [{ path, permissions: '0600', content }]
  const [crt, key, ca] = [
    '/etc/seeder/tls/etcd.crt',
    '/etc/seeder/tls/etcd.key',
    '/etc/seeder/trust/etcd-ca.crt',
  ]
  const bad: BadValue[] = [
    { what: 'no state', values: { ETCD_STATE: '' }, named: ['ETCD_STATE'] },
    { what: 'an unknown state', values: { ETCD_STATE: 'maybe' }, named: ['ETCD_STATE', 'maybe'] },
    { what: 'a new cluster without a token', values: { ETCD_TOKEN: '' }, named: ['ETCD_TOKEN'] },
    { what: 'no members', values: { ETCD_MEMBERS: '' }, named: ['ETCD_MEMBERS'] },
    {
      what: 'members without itself',
      values: { ETCD_MEMBERS: memberList(peers) },
      named: ['ETCD_MEMBERS', late.name],
    },
    {
      what: 'an invalid address',
      values: { ETCD_MEMBERS: `${good.ETCD_MEMBERS} etcd9=${BAD_ADDRESS}` },
      named: ['ETCD_MEMBERS', BAD_ADDRESS],
    },
    { what: 'too large a quota', values: { ETCD_QUOTA_MIB: '9000' }, named: ['ETCD_QUOTA_MIB', '9000'] },
    {
      what: 'an election shorter than heartbeats allow',
      values: { ETCD_HEARTBEAT_MS: '500', ETCD_ELECTION_MS: '600' },
      named: ['ETCD_ELECTION_MS', '600'],
    },
    {
      what: 'a data disk that is not there',
      values: { ETCD_DATA_DISK: 'elsewhere' },
      named: ['ETCD_DATA_DISK', 'elsewhere'],
    },
    { what: 'an unknown key', values: { ETCD_NODES: '3' }, named: ['ETCD_NODES'] },
    {
      what: 'joining a cluster that does not expect it',
      values: { ETCD_STATE: 'existing' },
      named: ['ETCD_STATE', `etcd add ${late.name} ${late.address}`],
    },
    {
      what: 'another member’s certificate',
      values: {},
      files: [...file(crt, others.cert), ...file(key, others.key)],
      named: [crt, late.name, late.address],
    },
    {
      what: 'a certificate of another authority',
      values: {},
      files: [...file(crt, foreignPair.cert), ...file(key, foreignPair.key)],
      named: [crt, ca],
    },
    { what: 'another certificate’s key', values: {}, files: file(key, others.key), named: [key] },
    {
      what: 'an authority with a key',
      values: {},
      files: file(ca, `${authority.cert}${own.key}`),
      named: [ca, 'private key'],
    },
  ]
  return checkRefusals(late, good, memberFiles(authority, own), bad)
}
