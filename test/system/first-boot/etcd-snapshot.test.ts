import { afterAll, beforeAll, expect, test } from 'vitest'
import { Authority } from '../../support/first-boot/etcd-certificates.ts'
import { Lan } from '../../support/first-boot/etcd-lan.ts'
import { EtcdNode } from '../../support/first-boot/etcd-node.ts'

const nodeEnv = `ETCD_STATE=new\nETCD_TOKEN=prod\nETCD_MEMBERS="etcd1=10.0.0.129 etcd2=10.0.0.130"
ETCD_HEARTBEAT_MS=20\nETCD_ELECTION_MS=200\nETCD_SNAPSHOT_KEEP=2\nETCD_QUOTA_MIB=256\n`
const ctl =
  'etcdctl --endpoints=https://127.0.0.1:2379 --cacert=/etc/etcd/tls/ca.crt --cert=/etc/etcd/tls/member.crt --key=/etc/etcd/tls/member.key'
const snapshots = '/var/lib/etcd/snapshots'

let authority: Authority
let lan: Lan
let one: EtcdNode
let two: EtcdNode
beforeAll(async () => {
  ;[authority, lan] = await Promise.all([Authority.make('etcd'), Lan.make()])
  const make = async (n: number) => {
    const [name, address] = [`etcd${n}`, `10.0.0.${128 + n}`]
    const node = await EtcdNode.make(lan, name, address)
    const { cert, key } = await authority.issue(name, {
      names: `DNS:${name},IP:${address},IP:127.0.0.1`,
    })
    await node.write('/etc/seeder/tls/etcd.crt', cert)
    await node.write('/etc/seeder/tls/etcd.key', key, 0o600)
    await node.write('/etc/seeder/trust/etcd-ca.crt', authority.cert)
    await node.write('/etc/seeder/node.env', nodeEnv)
    return node
  }
  ;[one, two] = await Promise.all([make(1), make(2)])
  await Promise.all([one.firstBoot(), two.firstBoot()])
  await one.serves()
}, 60_000)
afterAll(async () => {
  await Promise.all([one, two].map((node) => node.dispose()))
  await Promise.all([lan, authority].map((each) => each.dispose()))
})

const list = async () => (await one.run(`ls ${snapshots}`)).split('\n').filter(Boolean)
const asEtcd = 'setpriv --reuid=etcd --regid=etcd --clear-groups --no-new-privs'

test('a snapshot is whole, belongs to etcd, and can be taken by the timer’s service', async () => {
  await one.run(`${ctl} put key value`)
  const { exitCode, output } = await one.etcd('snapshot')
  expect(exitCode).toBe(0)
  expect(output).toMatch(/^\/var\/lib\/etcd\/snapshots\/etcd1-\d{8}T\d{6}Z\.db$/)
  expect(await one.run(`stat -c '%a %U' ${output}`)).toBe('600 etcd')
  expect(await one.run(`etcdutl snapshot status ${output}`)).toMatch(/^\w+, 2, /)
  // The next one has another second in its name.
  await one.run(`rm ${output}`)
  await one.run(`${asEtcd} /usr/lib/seeder/etcd snapshot`)
  expect(await list()).toHaveLength(1)
})

test('the oldest ones are removed, complete ones stay', async () => {
  await one.run(`rm ${snapshots}/*; touch ${snapshots}/etcd1-2020010{1,2,3}T000000Z.db`)
  await one.etcd('snapshot')
  expect(await list()).toEqual(['etcd1-20200103T000000Z.db', expect.stringMatching(/^etcd1-2\d+T/)])
})

test('a snapshot that cannot be taken leaves nothing behind, and the earlier ones', async () => {
  const before = await list()
  const restore = await one.replace('/usr/bin/etcdutl', '#!/bin/bash\nexit 1\n')
  expect(await one.etcd('snapshot')).toEqual({ exitCode: 1, output: 'etcd: the snapshot is damaged' })
  await restore()
  expect(await list()).toEqual(before)
})

test('snapshots leave etcd the room of its quota: old ones go first, the newest stays', async () => {
  await one.run(`rm ${snapshots}/*; touch ${snapshots}/etcd1-2020010{1,2,3}T000000Z.db`)
  const restore = await one.replace('/usr/bin/df', '#!/bin/bash\necho Avail; echo 268435455\n')
  expect(await one.etcd('snapshot')).toEqual({
    exitCode: 1,
    output: "etcd: there is no room for a snapshot: 255 MiB are free, and it needs 256 with etcd's quota",
  })
  await restore()
  expect(await list()).toEqual(['etcd1-20200103T000000Z.db'])
})

test('a snapshot is restored on all members, and not while one of them runs', async () => {
  await one.run(`rm ${snapshots}/*`)
  const file = (await one.etcd('snapshot')).output
  await one.run(`${ctl} put key later; ${ctl} put other thing`)

  expect(await one.etcd('restore', '/etc/passwd')).toEqual({
    exitCode: 1,
    output: 'etcd: /etc/passwd is not a snapshot, or is damaged',
  })
  expect(await one.etcd('restore', file)).toEqual({
    exitCode: 1,
    output: 'etcd: etcd runs: stop it on all members first (systemctl stop etcd)',
  })
  await one.run('systemctl stop etcd.service')
  expect(await one.etcd('restore', file)).toEqual({
    exitCode: 1,
    output: 'etcd: etcd runs on etcd2 (10.0.0.130): stop it on all members first',
  })
  await two.run('systemctl stop etcd.service')
  const copy = await one.run(`base64 -w0 ${file}`)
  await two.write('/var/copy', copy)
  await two.run('base64 -d /var/copy >/var/from-one.db')
  for (const [node, from] of [
    [one, file],
    [two, '/var/from-one.db'],
  ] as const) {
    const { exitCode, output } = await node.etcd('restore', from)
    expect(output).toMatch(
      /^restored; the old data is in \/var\/lib\/etcd\/data\.before-\d{8}T\d{6}Z\. When all members have it: systemctl restart seeder-first-boot on each$/,
    )
    expect(exitCode).toBe(0)
  }
  expect((await one.firstBoot()).status.state).toBe('ready')
  expect((await two.firstBoot()).status.state).toBe('ready')
  await two.serves()
  expect(await two.run(`${ctl} get key --print-value-only`)).toBe('value')
  expect(await two.run(`${ctl} get other`)).toBe('')
  // What watches the cluster never sees a revision a second time.
  expect(JSON.parse((await two.etcd('health')).output).revision).toBeGreaterThan(1_000_000_000)
})

test.each(['', 'help', 'health now', 'add etcd9', 'remove', 'restore'])(
  '"%s" is answered with what there is',
  async (words) => {
    const { exitCode, output } = await one.etcd(words)
    expect(exitCode).toBe(2)
    expect(output.split('\n')[0]).toBe('What an operator does with a cluster, on any of its members:')
    expect(output).toContain('restore FILE')
  },
)
