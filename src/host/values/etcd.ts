import { type NodeValues, shown, type ValueProblem } from '../../guest/node-env.ts'
import { checkForms, checkNumber, checkServers, isDnsName, isSet, words } from './checks.ts'

/** The keys of a member of etcd. */
export const etcdKeys = [
  'ETCD_STATE',
  'ETCD_MEMBERS',
  'ETCD_NAME',
  'ETCD_TOKEN',
  'ETCD_DATA_DISK',
  'ETCD_QUOTA_MIB',
  'ETCD_HEARTBEAT_MS',
  'ETCD_ELECTION_MS',
  'ETCD_COMPACTION_HOURS',
  'ETCD_SNAPSHOT_KEEP',
] as const

/** What first boot of `images/etcd` would have against these values on a node of that name. */
export function checkEtcdValues(values: NodeValues, hostname: string): ValueProblem[] {
  const name = isSet(values, 'ETCD_NAME') ? (values.ETCD_NAME ?? '') : hostname
  return [
    ...(isDnsName(name) ? [] : [{ key: 'ETCD_NAME', reason: `${shown(name)} is not a DNS name` }]),
    ...checkState(values),
    ...checkForms(
      values,
      'ETCD_TOKEN',
      (value) => /^[A-Za-z0-9._-]{1,64}$/.test(value),
      '1 to 64 letters, digits, dots, dashes and underscores',
    ),
    ...checkForms(
      values,
      'ETCD_DATA_DISK',
      // What ext4 has room for.
      (value) => /^[A-Za-z0-9._-]{1,16}$/.test(value),
      '1 to 16 letters, digits, dots, dashes and underscores',
    ),
    ...checkMembers(values, name),
    ...checkNumber(values, 'ETCD_QUOTA_MIB', 256, 8192),
    ...checkNumber(values, 'ETCD_COMPACTION_HOURS', 0, 720),
    ...checkNumber(values, 'ETCD_SNAPSHOT_KEEP', 0, 1000),
    ...checkTiming(values),
  ]
}

function checkState(values: NodeValues): ValueProblem[] {
  const state = values.ETCD_STATE ?? ''
  if (state === 'new' && !isSet(values, 'ETCD_TOKEN')) {
    return [{ key: 'ETCD_TOKEN', reason: 'is not set; a new cluster needs one of its own' }]
  }
  if (state === 'new' || state === 'existing') return []
  const reason =
    state === '' ? 'is not set: "new" or "existing"' : `${shown(state)} is neither "new" nor "existing"`
  return [{ key: 'ETCD_STATE', reason }]
}

function checkMembers(values: NodeValues, name: string): ValueProblem[] {
  const key = 'ETCD_MEMBERS'
  if (!isSet(values, key)) {
    return [{ key, reason: 'is not set: all members with this one, NAME=ADDRESS' }]
  }
  const problems = checkServers(values, key, false)
  if (problems.length > 0 || words(values[key]).some((entry) => entry.startsWith(`${name}=`))) return problems
  return [{ key, reason: `does not have this member, ${name}; it has: ${values[key]}` }]
}

function checkTiming(values: NodeValues): ValueProblem[] {
  const problems = [
    ...checkNumber(values, 'ETCD_HEARTBEAT_MS', 10, 10_000),
    ...checkNumber(values, 'ETCD_ELECTION_MS', 50, 50_000),
  ]
  const [heartbeat, election] = [values.ETCD_HEARTBEAT_MS || '100', values.ETCD_ELECTION_MS || '1000']
  if (problems.length > 0 || Number(election) >= 5 * Number(heartbeat)) return problems
  const reason = `${election} is less than five times ETCD_HEARTBEAT_MS, which is ${heartbeat}`
  return [{ key: 'ETCD_ELECTION_MS', reason }]
}
