import { expect, test } from 'vitest'
import {
  founderValues,
  joinerValues,
  memberSubject,
  printedMembers,
} from '../../../../src/boot-test/etcd/configuration.ts'
import { agreedLeader, describeMembers, isWhole } from '../../../../src/boot-test/etcd/membership.ts'
import { longestPause, lostWrites } from '../../../../src/boot-test/etcd/writer.ts'

const peers = [
  { name: 'etcd1', address: '10.0.0.139' },
  { name: 'etcd2', address: '10.0.0.140' },
]
const member = (name: string, learner = false) => ({ id: '1', name, learner })
const status = (id: string, leader: string) => ({ id, leader, version: '3.7.2', revision: 1, learner: false })

test('founders have the list of members and a token; a joiner gets the list that the cluster printed', () => {
  expect(founderValues(peers, true)).toEqual({
    ETCD_STATE: 'new',
    ETCD_MEMBERS: 'etcd1=10.0.0.139 etcd2=10.0.0.140',
    ETCD_TOKEN: 'test-1',
    ETCD_DATA_DISK: 'etcd-data',
  })
  expect(founderValues(peers)).not.toHaveProperty('ETCD_DATA_DISK')
  const printed = 'ETCD_STATE=existing\nETCD_MEMBERS="etcd1=10.0.0.139 etcd4=10.0.0.142"\n'
  expect(joinerValues(printedMembers(printed) ?? '')).toEqual({
    ETCD_STATE: 'existing',
    ETCD_MEMBERS: 'etcd1=10.0.0.139 etcd4=10.0.0.142',
  })
  expect(printedMembers("  ETCD_MEMBERS='a=10.0.0.1'  ")).toBe('a=10.0.0.1')
  expect(printedMembers('added')).toBeUndefined()
  expect(memberSubject({ name: 'etcd1', address: '10.0.0.139' })).toMatchObject({
    addresses: ['10.0.0.139', '127.0.0.1'],
    usages: ['serverAuth', 'clientAuth'],
  })
})

test('a leader is a member that all members agree on', () => {
  expect(agreedLeader(['a', 'b'], [status('1', '2'), status('2', '2')])).toBe('b')
  expect(agreedLeader(['a', 'b'], [status('1', '1'), status('2', '2')])).toBeUndefined()
  expect(agreedLeader(['a', 'b'], [status('1', '0'), status('2', '0')])).toBeUndefined()
  expect(agreedLeader([], [])).toBeUndefined()
})

test('a cluster is whole when it has exactly these members, and all of them vote', () => {
  expect(isWhole([member('etcd1'), member('etcd2')], peers)).toBe(true)
  expect(isWhole([member('etcd1'), member('etcd2', true)], peers)).toBe(false)
  expect(isWhole([member('etcd1'), member('etcd2'), member('etcd3')], peers)).toBe(false)
  expect(isWhole([member('etcd1'), member('')], peers)).toBe(false)
  expect(describeMembers([member('etcd2', true), member(''), member('etcd1')])).toBe(
    'etcd1, etcd2 (learner), one that never started',
  )
})

test('an acknowledged write that is missing or changed is lost; others may exist', () => {
  const acknowledged = [
    { key: 'k1', value: '1', time: 0 },
    { key: 'k2', value: '2', time: 100 },
    { key: 'k3', value: '3', time: 900 },
  ]
  const found = new Map([
    ['k1', '1'],
    ['k2', '9'],
    ['unacknowledged', 'x'],
  ])
  expect(lostWrites(acknowledged, found)).toEqual(['k2: 9', 'k3: nothing'])
  expect(longestPause(acknowledged, 0)).toBe(800)
  expect(longestPause(acknowledged, 500)).toBe(800)
  expect(longestPause(acknowledged, 900)).toBe(0)
  expect(longestPause([], 0)).toBe(0)
})
