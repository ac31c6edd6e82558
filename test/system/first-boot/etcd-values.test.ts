import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { Authority } from '../../support/first-boot/etcd-certificates.ts'
import { Lan } from '../../support/first-boot/etcd-lan.ts'
import { EtcdNode } from '../../support/first-boot/etcd-node.ts'

const keys =
  'ETCD_STATE ETCD_MEMBERS ETCD_NAME ETCD_TOKEN ETCD_DATA_DISK ETCD_QUOTA_MIB ETCD_HEARTBEAT_MS ETCD_ELECTION_MS ETCD_COMPACTION_HOURS ETCD_SNAPSHOT_KEEP NTP_SERVERS ROUTES'
const members = 'ETCD_MEMBERS="etcd1=10.0.0.129 etcd2=10.0.0.130"'
const good = `ETCD_STATE=new\nETCD_TOKEN=prod\n${members}\n`

/** What is written in node.env, and what first boot says about it. */
const badValues: [title: string, nodeEnv: string, message: string][] = [
  ['an unknown key', `${good}ETCD_PEERS=x`, `ETCD_PEERS: is not a key of this role; it has: ${keys}`],
  ['another role’s key', `${good}VIP=10.0.0.1/26`, `VIP: is not a key of this role; it has: ${keys}`],
  ['a key twice', `${good}ETCD_TOKEN=x`, 'ETCD_TOKEN: is set twice, in line 2 and line 4'],
  // The state.
  [
    'no state',
    members,
    'ETCD_STATE: is not set: "new" for a cluster that is founded, "existing" for one that runs',
  ],
  [
    'a state that there is not',
    `ETCD_STATE=join\n${members}`,
    'ETCD_STATE: "join" is neither "new" nor "existing"',
  ],
  ['a state in capitals', `ETCD_STATE=New\n${members}`, 'ETCD_STATE: "New" is neither "new" nor "existing"'],
  // The token.
  [
    'new without a token',
    `ETCD_STATE=new\n${members}`,
    'ETCD_TOKEN: is not set; a new cluster needs one of its own',
  ],
  [
    'a token with a blank',
    `ETCD_STATE=new\nETCD_TOKEN="a b"\n${members}`,
    'ETCD_TOKEN: "a b" is not 1 to 64 letters, digits, dots, dashes and underscores',
  ],
  [
    'a long token',
    `ETCD_STATE=existing\nETCD_TOKEN=${'t'.repeat(65)}\n${members}`,
    `ETCD_TOKEN: "${'t'.repeat(60)}…" is not 1 to 64 letters, digits, dots, dashes and underscores`,
  ],
  // The members.
  [
    'no members',
    'ETCD_STATE=new\nETCD_TOKEN=prod',
    'ETCD_MEMBERS: is not set: all members with this one, NAME=ADDRESS',
  ],
  [
    'members without this one',
    'ETCD_STATE=existing\nETCD_MEMBERS="etcd2=10.0.0.130 etcd3=10.0.0.131"',
    'ETCD_MEMBERS: does not have this member, etcd1; it has: etcd2=10.0.0.130 etcd3=10.0.0.131',
  ],
  [
    'members by URL',
    'ETCD_STATE=existing\nETCD_MEMBERS="etcd1=https://10.0.0.129:2380"',
    'ETCD_MEMBERS: "https://10.0.0.129:2380" of etcd1 is not an IPv4 address',
  ],
  [
    'members with a port',
    'ETCD_STATE=existing\nETCD_MEMBERS="etcd1=10.0.0.129:2380"',
    'ETCD_MEMBERS: "10.0.0.129:2380" of etcd1 is not an IPv4 address',
  ],
  [
    'members without names',
    'ETCD_STATE=existing\nETCD_MEMBERS="10.0.0.129"',
    'ETCD_MEMBERS: "10.0.0.129" is not NAME=ADDRESS',
  ],
  [
    'commas between members',
    'ETCD_STATE=existing\nETCD_MEMBERS="etcd1=10.0.0.129,etcd2=10.0.0.130"',
    'ETCD_MEMBERS: "10.0.0.129,etcd2=10.0.0.130" of etcd1 is not an IPv4 address',
  ],
  [
    'a name twice',
    'ETCD_STATE=existing\nETCD_MEMBERS="etcd1=10.0.0.129 etcd1=10.0.0.130"',
    'ETCD_MEMBERS: has etcd1 twice',
  ],
  [
    'an address twice',
    'ETCD_STATE=existing\nETCD_MEMBERS="etcd1=10.0.0.129 etcd2=10.0.0.129"',
    'ETCD_MEMBERS: has the address 10.0.0.129 twice',
  ],
  [
    'an address that this machine has not',
    'ETCD_STATE=existing\nETCD_MEMBERS="etcd1=10.0.0.140 etcd2=10.0.0.130"',
    '/etc/seeder/tls/etcd.crt: is not for the address 10.0.0.140; it is for etcd1, 10.0.0.129',
  ],
  ['a name that is none', `${good}ETCD_NAME=etcd_1`, 'ETCD_NAME: "etcd_1" is not a DNS name'],
  [
    'a name that is not in the list',
    `${good}ETCD_NAME=etcd9`,
    'ETCD_MEMBERS: does not have this member, etcd9; it has: etcd1=10.0.0.129 etcd2=10.0.0.130',
  ],
  // The disk.
  [
    'a path for a label',
    `${good}ETCD_DATA_DISK=/dev/sdb`,
    'ETCD_DATA_DISK: "/dev/sdb" is not 1 to 16 letters, digits, dots, dashes and underscores',
  ],
  [
    'a label that ext4 has no room for',
    `${good}ETCD_DATA_DISK=etcd-data-of-prod`,
    'ETCD_DATA_DISK: "etcd-data-of-prod" is not 1 to 16 letters, digits, dots, dashes and underscores',
  ],
  // Numbers.
  ['a small quota', `${good}ETCD_QUOTA_MIB=255`, 'ETCD_QUOTA_MIB: "255" is not a number from 256 to 8192'],
  ['a large quota', `${good}ETCD_QUOTA_MIB=8193`, 'ETCD_QUOTA_MIB: "8193" is not a number from 256 to 8192'],
  [
    'a quota with a unit',
    `${good}ETCD_QUOTA_MIB=2GiB`,
    'ETCD_QUOTA_MIB: "2GiB" is not a number from 256 to 8192',
  ],
  [
    'a heartbeat of nothing',
    `${good}ETCD_HEARTBEAT_MS=0`,
    'ETCD_HEARTBEAT_MS: "0" is not a number from 10 to 10000',
  ],
  [
    'an election that takes too long',
    `${good}ETCD_ELECTION_MS=50001`,
    'ETCD_ELECTION_MS: "50001" is not a number from 50 to 50000',
  ],
  [
    'an election within the heartbeats',
    `${good}ETCD_ELECTION_MS=499`,
    'ETCD_ELECTION_MS: 499 is less than five times ETCD_HEARTBEAT_MS, which is 100',
  ],
  [
    'a heartbeat too slow for the election',
    `${good}ETCD_HEARTBEAT_MS=201`,
    'ETCD_ELECTION_MS: 1000 is less than five times ETCD_HEARTBEAT_MS, which is 201',
  ],
  [
    'a compaction by the day',
    `${good}ETCD_COMPACTION_HOURS=1d`,
    'ETCD_COMPACTION_HOURS: "1d" is not a number from 0 to 720',
  ],
  [
    'a negative number of snapshots',
    `${good}ETCD_SNAPSHOT_KEEP=-1`,
    'ETCD_SNAPSHOT_KEEP: "-1" is not a number from 0 to 1000',
  ],
]

let authority: Authority
let lan: Lan
let node: EtcdNode
beforeAll(async () => {
  ;[authority, lan] = await Promise.all([Authority.make('etcd'), Lan.make()])
  node = await EtcdNode.make(lan, 'etcd1', '10.0.0.129')
  const { cert, key } = await authority.issue('etcd1', { names: 'DNS:etcd1,IP:10.0.0.129' })
  await node.write('/etc/seeder/trust/etcd-ca.crt', authority.cert)
  await node.write('/etc/seeder/tls/etcd.crt', cert)
  await node.write('/etc/seeder/tls/etcd.key', key, 0o600)
}, 60_000)
afterEach(() => node.run('rm -f /etc/seeder/node.env'))
afterAll(async () => {
  await node.dispose()
  await Promise.all([lan.dispose(), authority.dispose()])
})

describe('a bad value is named with its reason, on the console and in the status', () => {
  test.each(badValues)('%s', async (_, nodeEnv, message) => {
    await node.write('/etc/seeder/node.env', nodeEnv)
    const { exitCode, console, status, calls } = await node.firstBoot()
    expect(console).toContain(`seeder-first-boot: ${message}`)
    expect(status).toMatchObject({ image: 'etcd', role: 'etcd', state: 'failed' })
    expect(status.reason).toContain(message)
    expect(exitCode).toBe(1)
    // Nothing was changed, nothing was started.
    expect(calls).toEqual([])
    expect((await node.shell('ls /etc/etcd /var/lib/etcd')).exitCode).not.toBe(0)
  })
})

test('an address in the list and in the certificate that this machine does not have', async () => {
  const { cert, key } = await authority.issue('etcd7', { names: 'DNS:etcd7,IP:10.0.0.140' })
  await node.write('/var/etcd7.crt', cert)
  await node.write('/var/etcd7.key', key)
  await node.write(
    '/etc/seeder/node.env',
    'ETCD_STATE=existing\nETCD_NAME=etcd7\nETCD_MEMBERS="etcd7=10.0.0.140 etcd2=10.0.0.130"\n',
  )
  await node.run(
    'cp -a /etc/seeder/tls /var/tls; cp /var/etcd7.crt /etc/seeder/tls/etcd.crt; cp /var/etcd7.key /etc/seeder/tls/etcd.key',
  )
  const { console, calls } = await node.firstBoot()
  await node.run('rm -r /etc/seeder/tls; mv /var/tls /etc/seeder/tls')
  expect(console).toEqual([
    'seeder-first-boot: ETCD_MEMBERS: this machine does not have the address 10.0.0.140 of etcd7; it has: 10.0.0.129',
  ])
  expect(calls).toEqual([])
})

test('without a node.env the node is healthy, and says that it has nothing to do', async () => {
  const { exitCode, status, calls } = await node.firstBoot()
  expect(exitCode).toBe(0)
  expect(status).toMatchObject({
    state: 'ready',
    reason: 'not configured: no ETCD_STATE and ETCD_MEMBERS in /etc/seeder/node.env',
  })
  expect(calls).toEqual([])
  const { exitCode: code, output } = await node.etcd('health')
  expect(output).toBe('etcd: this machine is not a member of a cluster yet: see /usr/lib/seeder/status')
  expect(code).toBe(1)
})
