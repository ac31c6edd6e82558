import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { Authority } from '../../support/first-boot/etcd-certificates.ts'
import { Lan } from '../../support/first-boot/etcd-lan.ts'
import { EtcdNode } from '../../support/first-boot/etcd-node.ts'

const members = 'ETCD_MEMBERS="etcd1=10.0.0.129"\n'
// Elections as quick as etcd lets them be, for the tests' sake.
const quick = 'ETCD_HEARTBEAT_MS=10\nETCD_ELECTION_MS=100\n'
const newCluster = `ETCD_STATE=new\nETCD_TOKEN=prod\n${members}${quick}`
const diskLabel = 'ETCD_DATA_DISK=etcd-data\n'

let authority: Authority
let lan: Lan
let node: EtcdNode
beforeAll(async () => {
  ;[authority, lan] = await Promise.all([Authority.make('etcd'), Lan.make()])
  node = await EtcdNode.make(lan, 'etcd1', '10.0.0.129')
}, 60_000)
beforeEach(async () => {
  await node.wipe()
  const { cert, key } = await authority.issue('etcd1', {
    names: 'DNS:etcd1,DNS:etcd9,IP:10.0.0.129,IP:10.0.0.130',
  })
  await node.write('/etc/seeder/trust/etcd-ca.crt', authority.cert)
  await node.write('/etc/seeder/tls/etcd.crt', cert)
  await node.write('/etc/seeder/tls/etcd.key', key, 0o600)
  await node.write('/etc/seeder/node.env', newCluster)
})
afterAll(async () => {
  await node.dispose()
  await Promise.all([lan.dispose(), authority.dispose()])
})

/** First boot refuses with exactly these reasons. */
async function refused(...messages: string[]): Promise<void> {
  const { console, calls } = await node.firstBoot()
  expect(console).toEqual(messages.map((message) => `seeder-first-boot: ${message}`))
  expect(calls.join()).not.toContain('start etcd.service')
}

const put =
  'etcdctl --endpoints=https://10.0.0.129:2379 --cacert=/etc/etcd/tls/ca.crt --cert=/etc/etcd/tls/member.crt --key=/etc/etcd/tls/member.key'

describe('data that is there', () => {
  test('is used again after a crash, also with ETCD_STATE=new left on the drive', async () => {
    await node.firstBoot()
    await node.run(`${put} put key value`)
    await node.crash()
    expect((await node.firstBoot()).status.state).toBe('ready')
    await node.serves()
    expect(await node.run(`${put} get key --print-value-only`)).toBe('value')
    // Neither does it matter to one that was founded long ago what the state says now.
    await node.crash()
    await node.write('/etc/seeder/node.env', `ETCD_STATE=existing\n${members}${quick}`)
    expect((await node.firstBoot()).status.state).toBe('ready')
    expect(await node.run('cat /var/lib/etcd/seeder-member')).toContain('TOKEN=prod')
  })

  test('belongs to its name, its cluster and its address', async () => {
    await node.firstBoot()
    await node.crash()
    await node.write(
      '/etc/seeder/node.env',
      'ETCD_STATE=new\nETCD_TOKEN=stage\nETCD_NAME=etcd9\nETCD_MEMBERS="etcd9=10.0.0.130"\n',
    )
    await node.run('ip address add 10.0.0.130/26 dev eth0')
    await refused(
      'ETCD_NAME: this is etcd9, but /var/lib/etcd/data is the data of etcd1; a member with a new name begins without data',
      'ETCD_TOKEN: is stage, but /var/lib/etcd/data belongs to the cluster with the token prod',
      'ETCD_MEMBERS: has etcd9 at 10.0.0.130, but /var/lib/etcd/data is of a member at 10.0.0.129; a member that moves is replaced',
    )
    await node.run('ip address del 10.0.0.130/26 dev eth0')
  })

  test('of an unknown member', async () => {
    await node.run('mkdir -p /var/lib/etcd/data/member')
    await refused(
      'ETCD_STATE: /var/lib/etcd/data has the data of a member, and there is no /var/lib/etcd/seeder-member that says whose',
    )
  })

  test('and is not a member’s', async () => {
    await node.run('mkdir -p /var/lib/etcd/data/lost+found')
    await refused(
      'ETCD_STATE: /var/lib/etcd/data is neither empty nor the data of a member; look at it and clear it',
    )
  })

  test('of a member that has lost its values', async () => {
    await node.firstBoot()
    await node.crash()
    await node.run('rm /etc/seeder/node.env')
    const { status } = await node.firstBoot()
    expect(status.state).toBe('failed')
    expect(status.reason).toMatch(/^ETCD_STATE: is not set/)
  })

  test('that is gone does not make a new cluster after first boot', async () => {
    await node.firstBoot()
    expect((await node.shell('ls /run/seeder/etcd-bootstrap.env')).exitCode).not.toBe(0)
    await node.run('systemctl stop etcd.service; rm -r /var/lib/etcd/data/member')
    expect((await node.shell('systemctl start etcd.service')).exitCode).toBe(1)
  })

  test('that etcd cannot read: what it said is in the reason', async () => {
    await node.firstBoot()
    await node.crash()
    await node.run('echo bad >/var/lib/etcd/data/member/snap/db')
    const { status } = await node.firstBoot()
    expect(status).toMatchObject({ state: 'failed' })
    expect(status.reason).toMatch(/^etcd: was started and has ended: \S+/)
    expect(status.reason).not.toContain('journalctl')
  })
})

describe('settings', () => {
  test('reach etcd; what is not set has its default', async () => {
    await node.write('/etc/seeder/node.env', `ETCD_STATE=new\nETCD_TOKEN=prod\n${members}`)
    await node.firstBoot()
    const env = await node.run('cat /etc/etcd/etcd.env')
    for (const line of [
      'ETCD_QUOTA_BACKEND_BYTES=2147483648',
      'ETCD_HEARTBEAT_INTERVAL=100',
      'ETCD_ELECTION_TIMEOUT=1000',
      'ETCD_TLS_MIN_VERSION=TLS1.2',
      'ETCD_LISTEN_METRICS_URLS=http://127.0.0.1:2381',
      'SNAPSHOT_KEEP=24',
    ]) {
      expect(env.split('\n')).toContain(line)
    }
    // The API server compacts.
    expect(env).not.toContain('COMPACTION')
    expect(await node.run('cat /var/log/etcd.log')).not.toContain('unrecognized environment variable')
  })

  test('that are changed restart it; snapshots can be switched off', async () => {
    expect((await node.firstBoot()).calls).toContain('--no-block start seeder-etcd-snapshot.timer')
    expect((await node.firstBoot()).calls).not.toContain('stop etcd.service')
    await node.write(
      '/etc/seeder/node.env',
      `${newCluster}ETCD_QUOTA_MIB=512\nETCD_COMPACTION_HOURS=8\nETCD_SNAPSHOT_KEEP=0\n`,
    )
    const { calls, status } = await node.firstBoot()
    expect(calls).toEqual([
      'stop etcd.service',
      '--no-block start etcd.service',
      'stop seeder-etcd-snapshot.timer',
    ])
    expect(status.state).toBe('ready')
    const metrics = await node.run(
      'exec 3<>/dev/tcp/127.0.0.1/2381; printf "GET /metrics HTTP/1.0\\r\\n\\r\\n" >&3; cat <&3',
    )
    expect(metrics).toContain('etcd_server_quota_backend_bytes 5.36870912e+08')
    expect(await node.run('cat /etc/etcd/etcd.env')).toContain(
      'ETCD_AUTO_COMPACTION_MODE=periodic\nETCD_AUTO_COMPACTION_RETENTION=8h',
    )
  })

  // 3.5 does not know the one, 3.7 does not start with the other. Only what etcd says about itself is played here.
  test.each([
    [
      '3.6 and later',
      '--feature-gates',
      ['ETCD_FEATURE_GATES=InitialCorruptCheck=true,CompactHashCheck=true'],
    ],
    [
      '3.5',
      '--experimental-initial-corrupt-check',
      ['ETCD_EXPERIMENTAL_INITIAL_CORRUPT_CHECK=true', 'ETCD_EXPERIMENTAL_COMPACT_HASH_CHECK_ENABLED=true'],
    ],
  ])('for checks of the data are those of %s', async (_, help, expected) => {
    const restore = await node.replace(
      '/usr/bin/etcd',
      `#!/bin/bash\n[[ $1 != --help ]] || echo "  ${help}"\n`,
    )
    await node.firstBoot()
    const env = await node.run('cat /etc/etcd/etcd.env')
    await restore()
    expect(env.split('\n').filter((line) => /EXPERIMENTAL|FEATURE/.test(line))).toEqual(expected)
  })
})

describe('a disk for the data', () => {
  const gib = 1024 ** 3
  /** Gives the machine whole disks of 1 GiB beside the system's. Their content is zero. */
  async function disks(...names: string[]): Promise<void> {
    const line = (name: string, type: string, parent = '') =>
      `NAME="/dev/${name}" TYPE="${type}" SIZE="${gib}" PKNAME="${parent}" RO="0"\n`
    const system = line('sda', 'disk') + line('sda1', 'part', '/dev/sda')
    const drive = `NAME="/dev/sr0" TYPE="rom" SIZE="4194304" PKNAME="" RO="0"\n`
    await node.write('/var/disks', system + drive + names.map((name) => line(name, 'disk')).join(''))
    await node.run('rm -f /dev/sd?*')
    for (const name of ['sda', 'sda1', ...names]) await node.run(`truncate -s ${gib} /dev/${name}`)
    // The system's disk has partitions, so it is not blank, whatever else it has.
    await node.run('mkfs.ext4 -q -L root /dev/sda1')
  }
  const fileSystem = (name: string, label: string) => node.run(`mkfs.ext4 -q -F -L ${label} /dev/${name}`)
  const at = (offset: number) => `dd of=/dev/sdb bs=1 seek=${offset} conv=notrunc status=none`
  beforeEach(() => node.write('/etc/seeder/node.env', newCluster + diskLabel))

  test('the only blank one gets a file system, and is found by its label from then on', async () => {
    await disks('sdb')
    const { console, calls } = await node.firstBoot()
    expect(console[0]).toBe(
      'seeder-first-boot: making a file system with the label etcd-data on /dev/sdb, which is blank',
    )
    expect(console[1]).toContain('ready: member etcd1')
    expect(await node.run('blkid -p -o value -s LABEL /dev/sdb')).toBe('etcd-data')
    expect(calls[0]).toBe('mount -o noatime,nodev,nosuid,noexec /dev/sdb /var/lib/etcd')
    await node.run(`${put} put key value`)

    // Its name may be another one at the next boot.
    await node.crash()
    await node.run(
      'mv /dev/sdb /dev/sdc; mv /var/content/dev/sdb /var/content/dev/sdc; sed -i s/sdb/sdc/ /var/disks',
    )
    const again = await node.firstBoot()
    expect(again.calls[0]).toContain('/dev/sdc /var/lib/etcd')
    await node.serves()
    expect(await node.run(`${put} get key --print-value-only`)).toBe('value')
  })

  test('it is mounted once, however often first boot runs', async () => {
    await disks('sdb')
    await node.firstBoot()
    const { calls, status } = await node.firstBoot()
    expect(status.state).toBe('ready')
    expect(calls.join()).not.toContain('mount')
  })

  test.each([
    ['no other disk', [], 'no disk is blank; there are: /dev/sda, /dev/sda1 (root)'],
    ['two blank ones', ['sdb', 'sdc'], 'more than one disk is blank: /dev/sdb /dev/sdc'],
  ])('%s', async (_, names, message) => {
    await disks(...names)
    await refused(`ETCD_DATA_DISK: no file system has the label etcd-data, and ${message}`)
  })

  test.each([
    ['a file system', 'mkfs.ext4 -q -F -L precious /dev/sdb', ' (precious)'],
    [
      'a partition table',
      `printf '\\0\\0\\0\\0\\203\\0\\0\\0\\0\\10\\0\\0\\0\\10\\0\\0' | ${at(446)}; printf '\\125\\252' | ${at(510)}`,
      '',
    ],
    [
      'something at its beginning',
      'printf x | dd of=/dev/sdb bs=1 seek=5000000 conv=notrunc status=none',
      '',
    ],
    ['something at its end', `printf x | ${at(gib - 5_000_000)}`, ''],
  ])('a disk with %s is not blank, and nothing is written to it', async (_, content, label) => {
    await disks('sdb')
    await node.run(content)
    const before = await node.run('stat -c %y /dev/sdb')
    await refused(
      `ETCD_DATA_DISK: no file system has the label etcd-data, and no disk is blank; there are: /dev/sda, /dev/sda1 (root), /dev/sdb${label}`,
    )
    expect(await node.run('stat -c %y /dev/sdb')).toBe(before)
  })

  test('two with the label', async () => {
    await disks('sdb', 'sdc')
    await fileSystem('sdb', 'etcd-data')
    await fileSystem('sdc', 'etcd-data')
    await refused('ETCD_DATA_DISK: more than one file system has the label etcd-data: /dev/sdb /dev/sdc')
  })

  test('another kind of file system', async () => {
    await disks('sdb')
    await node.run('mkswap -q -L etcd-data /dev/sdb')
    await refused('ETCD_DATA_DISK: the file system on /dev/sdb is swap, not ext4')
  })

  test('a member with data on the system’s disk does not get another place', async () => {
    await node.write('/etc/seeder/node.env', newCluster)
    await node.firstBoot()
    await node.write('/etc/seeder/node.env', newCluster + diskLabel)
    await refused(
      "ETCD_DATA_DISK: is etcd-data, but the data of a member is on the system's disk already, in /var/lib/etcd/data",
    )
  })

  test('a member whose disk is gone, or not requested any more, does not begin again', async () => {
    await disks('sdb')
    await node.firstBoot()
    await node.crash()
    await disks('sdb')
    await refused(
      "ETCD_DATA_DISK: the disk with the label etcd-data, which has this member's data, is gone; there are: /dev/sda, /dev/sda1 (root), /dev/sdb",
    )
    await node.write('/etc/seeder/node.env', newCluster)
    await refused(
      "ETCD_DATA_DISK: is not set, but this member's data is on the disk with the label etcd-data",
    )
  })
})
