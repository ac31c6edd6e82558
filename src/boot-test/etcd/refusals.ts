import type { NodeValues } from '../../guest/node-env.ts'
import { type BadValue, refuseAll } from '../first-boot.ts'
import { founderValues, memberFiles, memberList, memberOf, memberSubject } from './configuration.ts'
import { type ClusterMember, type ClusterStage, cast, peersOf } from './test-bed.ts'

/** What a founder that is too late is told: the founders and itself. */
export function strayValues(stage: ClusterStage): NodeValues {
  return founderValues(peersOf(stage, [...cast.founders.slice(1), cast.stray]))
}

/** Gives a clone that is no member every value and file it must not accept. */
export async function checkBadValues(stage: ClusterStage, stray: ClusterMember): Promise<string> {
  const { authority, foreign, pairs } = stage
  const own = pairs.get(stray.name) ?? { cert: '', key: '' }
  const others = pairs.get(cast.founders[0]) ?? own
  const foreignPair = await foreign.issue('foreign-stray', memberSubject(memberOf(stray.seat)))
  const good = strayValues(stage)
  const peers = peersOf(stage, cast.founders)
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
      named: ['ETCD_MEMBERS', stray.name],
    },
    {
      what: 'an address that is none',
      values: { ETCD_MEMBERS: `${good.ETCD_MEMBERS} etcd9=10.0.0.700` },
      named: ['ETCD_MEMBERS', '10.0.0.700'],
    },
    { what: 'too large a quota', values: { ETCD_QUOTA_MIB: '9000' }, named: ['ETCD_QUOTA_MIB', '9000'] },
    {
      what: 'elections in a heartbeat',
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
      named: ['ETCD_STATE', `etcd add ${stray.name} ${stray.address}`],
    },
    {
      what: 'another member’s certificate',
      values: {},
      files: [...file(crt, others.cert), ...file(key, others.key)],
      named: [crt, stray.name, stray.address],
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
  return refuseAll(stray.clone, good, memberFiles(authority, own), bad)
}
