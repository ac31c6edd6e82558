import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Authority } from '../../support/first-boot/etcd-certificates.ts'
import { Lan } from '../../support/first-boot/etcd-lan.ts'
import { EtcdNode } from '../../support/first-boot/etcd-node.ts'

const founders = ['etcd1=10.0.0.129', 'etcd2=10.0.0.130', 'etcd3=10.0.0.131']
const quick = 'ETCD_HEARTBEAT_MS=20\nETCD_ELECTION_MS=200\n'

let authority: Authority
let otherAuthority: Authority
let lan: Lan
let nodes: EtcdNode[]
let one: EtcdNode, two: EtcdNode, three: EtcdNode, four: EtcdNode
beforeAll(async () => {
  ;[authority, otherAuthority, lan] = await Promise.all([
    Authority.make('etcd'),
    Authority.make('another'),
    Lan.make(),
  ])
  ;[one, two, three, four] = nodes = (await Promise.all(
    [1, 2, 3, 4].map((n) => EtcdNode.make(lan, `etcd${n}`, `10.0.0.${128 + n}`)),
  )) as [EtcdNode, EtcdNode, EtcdNode, EtcdNode]
  await Promise.all(nodes.map((node, at) => deliver(node, `etcd${at + 1}`, authority)))
}, 60_000)
afterAll(async () => {
  await Promise.all(nodes.map((node) => node.dispose()))
  await Promise.all([lan, authority, otherAuthority].map((each) => each.dispose()))
})

async function deliver(node: EtcdNode, name: string, ca: Authority): Promise<void> {
  const address = `10.0.0.${128 + nodes.indexOf(node) + 1}`
  const { cert, key } = await ca.issue(name, { names: `DNS:${name},IP:${address}` })
  await node.write('/etc/seeder/tls/etcd.crt', cert)
  await node.write('/etc/seeder/tls/etcd.key', key, 0o600)
  await node.write('/etc/seeder/trust/etcd-ca.crt', ca.cert)
}

/** Boots a machine with these members, NAME=ADDRESS. */
async function boot(node: EtcdNode, state: 'new' | 'existing', members: readonly string[]) {
  const token = state === 'new' ? 'ETCD_TOKEN=prod\n' : ''
  await node.write(
    '/etc/seeder/node.env',
    `ETCD_STATE=${state}\n${token}ETCD_MEMBERS="${members.join(' ')}"\n${quick}`,
  )
  return await node.firstBoot()
}

/** What first boot says when it refuses. */
async function refusal(...given: Parameters<typeof boot>): Promise<string> {
  const { status, exitCode, calls } = await boot(...given)
  expect(status.state).toBe('failed')
  expect(exitCode).toBe(1)
  expect(calls).toEqual([])
  return status.reason
}

const put = (node: EtcdNode, value: string) => node.run(`${ctl(node)} put key ${value}`)
const read = (node: EtcdNode) => node.run(`${ctl(node)} get key --print-value-only`)
const ctl = (node: EtcdNode) =>
  `etcdctl --endpoints=https://10.0.0.${129 + nodes.indexOf(node)}:2379 --cacert=/etc/etcd/tls/ca.crt --cert=/etc/etcd/tls/member.crt --key=/etc/etcd/tls/member.key`
const health = async (node: EtcdNode) => {
  const { exitCode, output } = await node.etcd('health')
  expect(output.split('\n')).toHaveLength(1)
  return { exitCode, ...JSON.parse(output) }
}

// One cluster's life, in order: each test goes on where the one before it has ended.
describe('a cluster', () => {
  test('is founded by members that start when they like', async () => {
    const first = await boot(one, 'new', founders)
    expect(first.status).toMatchObject({
      state: 'ready',
      reason: `member etcd1 (10.0.0.129) runs and waits for a quorum of ${founders.join(' ')}: see /usr/lib/seeder/etcd health`,
    })
    expect(await health(one)).toMatchObject({
      exitCode: 1,
      healthy: false,
      reason: 'there is no quorum, or no leader yet',
    })
    const [second, third] = await Promise.all([boot(two, 'new', founders), boot(three, 'new', founders)])
    expect([second.status.state, third.status.state]).toEqual(['ready', 'ready'])
    await Promise.all([one, two, three].map((node) => node.serves()))
    expect(await health(three)).toMatchObject({
      exitCode: 0,
      healthy: true,
      name: 'etcd3',
      address: '10.0.0.131',
      reason: '',
      voters: 3,
      healthyVoters: 3,
      leader: expect.stringMatching(/^etcd[123]$/),
    })
  })

  test('serves those with a certificate only, and its metrics to nobody else', async () => {
    const bare = await four.shell(
      'etcdctl --command-timeout=1s --endpoints=https://10.0.0.129:2379 --cacert=/etc/seeder/trust/etcd-ca.crt get key',
    )
    expect(bare.exitCode).not.toBe(0)
    // On the machine itself, where no firewall is in the way: they are for its loopback alone.
    expect((await one.shell('exec 3<>/dev/tcp/10.0.0.129/2381')).output).toContain('refused')
  })

  test('does not get a second cluster beside it', async () => {
    expect(await refusal(four, 'new', [...founders.slice(0, 2), 'etcd4=10.0.0.132'])).toBe(
      'ETCD_STATE: a cluster runs already, etcd1 (10.0.0.129) says, but ETCD_STATE is new, and this one is not a member of it; run "/usr/lib/seeder/etcd add etcd4 10.0.0.132" on a member, then start this one with ETCD_STATE=existing',
    )
  })

  test('does not take a member that it does not expect', async () => {
    expect(await refusal(four, 'existing', [...founders, 'etcd4=10.0.0.132'])).toBe(
      'ETCD_STATE: the cluster does not expect this member, etcd1 (10.0.0.129) says; run "/usr/lib/seeder/etcd add etcd4 10.0.0.132" on a member, then start this one with ETCD_STATE=existing',
    )
  })

  test('does not take one that belongs to somebody else', async () => {
    await deliver(four, 'etcd4', otherAuthority)
    const reason = await refusal(four, 'new', [...founders, 'etcd4=10.0.0.132'])
    expect(reason).toMatch(
      /^ETCD_MEMBERS: etcd1 \(10\.0\.0\.129\) answers, but not to this member: its certificate does not count here \(.+\)$/,
    )
    // Its own certificate would do for it, but the others do not take it.
    await four.write('/etc/seeder/trust/etcd-ca.crt', otherAuthority.cert + authority.cert)
    expect(await refusal(four, 'new', [...founders, 'etcd4=10.0.0.132'])).toMatch(
      /^ETCD_MEMBERS: etcd1 \(10\.0\.0\.129\) answers, but not to this member: it does not take this one's certificate \(alert .+\)$/,
    )
    await deliver(four, 'etcd4', authority)
  })

  test('does not take a member back that has lost its data', async () => {
    await put(one, 'value')
    await three.crash()
    await three.run('rm -r /var/lib/etcd')
    const gone =
      'and here is none; run "/usr/lib/seeder/etcd remove etcd3" on another member, and give a new clone a new name'
    expect(await refusal(three, 'existing', founders)).toBe(
      `ETCD_STATE: the cluster knows etcd3 as a member with data, etcd1 (10.0.0.129) says, ${gone}`,
    )
    expect(await refusal(three, 'new', founders)).toContain(
      'it knows etcd3 as a member with data, which is gone; run "/usr/lib/seeder/etcd remove etcd3"',
    )
  })

  test('gets a new member for a dead one, as the runbook says', async () => {
    const removed = await one.etcd('remove', 'etcd3')
    expect(removed).toMatchObject({ exitCode: 0, output: expect.stringContaining('etcd3 (') })
    const added = await one.etcd('add', 'etcd4', '10.0.0.132')
    expect(added.exitCode).toBe(0)
    const [state, members] = added.output.split('\n')
    expect(state).toBe('ETCD_STATE=existing')
    expect(members?.split(/[" ]/).filter(Boolean).sort()).toEqual([
      'ETCD_MEMBERS=',
      'etcd1=10.0.0.129',
      'etcd2=10.0.0.130',
      'etcd4=10.0.0.132',
    ])
    expect((await one.etcd('members')).output).toMatch(/^- +10\.0\.0\.132 +\w+ unstarted$/m)

    await four.write('/etc/seeder/node.env', `${added.output}\n${quick}`)
    const { status } = await four.firstBoot()
    expect(status.reason).toMatch(
      /^learner etcd4 \(10\.0\.0\.132\), etcd 3\.\S+: run "\/usr\/lib\/seeder\/etcd promote etcd4" on a voting member$/,
    )
    expect(await health(four)).toMatchObject({
      exitCode: 1,
      is: 'learner',
      reason: 'this member is a learner: run "/usr/lib/seeder/etcd promote etcd4" on a voting one',
    })
    expect(await one.etcd('promote', 'etcd4')).toEqual({
      exitCode: 0,
      output: 'etcd4 is a voting member now',
    })
    expect(await one.etcd('promote', 'etcd4')).toEqual({ exitCode: 0, output: 'etcd4 is a voting member' })
    await four.serves()
    expect(await health(four)).toMatchObject({ voters: 3, healthyVoters: 3 })
    expect(await read(four)).toBe('value')
  })

  test('keeps its members over a restart of each', async () => {
    await four.crash()
    expect((await four.firstBoot()).status.state).toBe('ready')
    await four.serves()
    expect(await health(one)).toMatchObject({ exitCode: 0, healthyVoters: 3 })
  })

  test('a change that etcd makes but reports as failed counts as made', async () => {
    await one.run('cp /usr/bin/etcdctl /run/real-etcdctl')
    const back = await one.replace(
      '/usr/bin/etcdctl',
      `#!/bin/bash
/run/real-etcdctl "$@" || exit
if [[ $* == *' member add '* || $* == *' member remove '* ]]; then
    echo 'Error: context deadline exceeded' >&2
    exit 1
fi
`,
    )
    // As below: etcd refuses for five seconds after a member has come, and the command's clock is faster here.
    await expect
      .poll(() => one.etcd('add', 'etcd7', '10.0.0.137'), { timeout: 20_000, interval: 500 })
      .toMatchObject({ exitCode: 0, output: expect.stringContaining('etcd7=10.0.0.137') })
    expect(await one.etcd('remove', '10.0.0.137')).toMatchObject({
      exitCode: 0,
      output: expect.stringMatching(/^10\.0\.0\.137 \(\w+\) is no member any more$/),
    })
    await back()
    expect((await one.etcd('members')).output).not.toContain('10.0.0.137')
  })

  test('moves the leadership before the leader is removed', async () => {
    await put(one, 'again')
    const { leader } = await health(one)
    const at = ['etcd1', 'etcd2', 'etcd3', 'etcd4'].indexOf(leader)
    const other = [one, two, three, four][at === 0 ? 1 : 0] as EtcdNode
    expect(await (nodes[at] as EtcdNode).etcd('remove', leader)).toEqual({
      exitCode: 1,
      output: `etcd: ${leader} is this member; remove it from another one`,
    })
    // For five seconds after a restart etcd refuses, which the command waits for; here its clock is faster.
    const remove = async () => (await other.etcd('remove', leader)).output
    await expect
      .poll(remove, { timeout: 10_000, interval: 500 })
      .toMatch(/^etcd\d \(\w+\) is no member any more$/)
    await other.serves()
    expect(await health(other)).toMatchObject({ is: 'leader', voters: 2 })
    await (nodes[at] as EtcdNode).crash()
  })

  test.each([
    [['add', 'etcd_9', '10.0.0.140'], '"etcd_9" is not a DNS name'],
    [['add', 'etcd9', '10.0.0'], '"10.0.0" is not an IPv4 address'],
    [['remove', 'etcd9'], 'there is no member with the name, address or id etcd9'],
    [['promote', 'etcd9'], 'there is no member of the name etcd9'],
  ])('%s: %s', async (words, message) => {
    const alive = (await two.etcd('members')).exitCode === 0 ? two : one
    expect(await alive.etcd(...words)).toEqual({ exitCode: 1, output: `etcd: ${message}` })
  })
})

describe('a member that joins', () => {
  test('waits for the others, and names them', async () => {
    await three.wipe()
    await deliver(three, 'etcd3', authority)
    // Nobody is there at all.
    await Promise.all([one, two, four].map((node) => node.crash()))
    const { console, status } = await boot(three, 'existing', ['etcd1=10.0.0.129', 'etcd3=10.0.0.131'])
    const reasons = 'etcd1 (10.0.0.129): does not answer'
    expect(console).toEqual([
      `seeder-first-boot: waits for a member of the cluster: ${reasons}`,
      `seeder-first-boot: ETCD_MEMBERS: no member of the cluster answered for 5 minutes: ${reasons}`,
    ])
    expect(status.state).toBe('failed')
  })

  test('needs a member to query', async () => {
    expect(await refusal(three, 'existing', ['etcd3=10.0.0.131'])).toBe(
      'ETCD_MEMBERS: has no member but this one; with ETCD_STATE=existing one of the others has to answer',
    )
  })

  // A server that only says its version plays the cluster: there is but one version of etcd here.
  const oneAtATime = (found: string) =>
    `etcd1 (10.0.0.129) is ${found}: a cluster is upgraded by one minor at a time`
  test.each([
    ['two minors ahead', 'existing', [0, 2], 'same', oneAtATime],
    ['two minors behind', 'new', [0, -2], 'same', oneAtATime],
    ['another major', 'existing', [1, 0], 'same', oneAtATime],
    [
      'one ahead, as all members are',
      'existing',
      [0, 1],
      'same',
      (_: string, minor: string) =>
        `the cluster is ${minor} already, etcd1 (10.0.0.129) says: it does not go back`,
    ],
    // Then the version is not the matter: what plays the cluster has no members.
    ['one ahead, in a cluster that still has older members', 'new', [0, 1], 'own', undefined],
  ] as const)(
    'is not of a version that cannot be: %s',
    async (_, state, [majors, minors], cluster, message) => {
      const [, own = '', major, minor] =
        /Version: ((\d+)\.(\d+)\.\d+)/.exec(await three.run('etcd --version')) ?? []
      const found = `${Number(major) + majors}.${Number(minor) + minors}`
      const agreed = cluster === 'same' ? found : `${major}.${minor}`
      await one.write(
        '/var/version/version',
        `{"etcdserver":"${found}.7","etcdcluster":"${agreed}.0","storage":"${agreed}.0"}\n`,
      )
      await one.run(
        'cd /var/version; openssl s_server -accept 10.0.0.129:2379 -cert /etc/seeder/tls/etcd.crt -key /etc/seeder/tls/etcd.key -CAfile /etc/seeder/trust/etcd-ca.crt -Verify 1 -WWW -quiet </dev/null >/dev/null 2>&1 & echo $! >/run/version.pid; until (: </dev/tcp/10.0.0.129/2379) 2>/dev/null; do sleep 1; done',
      )
      const reason = await refusal(three, state, founders)
      await one.run('kill $(</run/version.pid); while [[ -e /proc/$(</run/version.pid) ]]; do sleep 1; done')
      expect(reason).toBe(
        message
          ? `etcd: this is ${own}, and ${message(`${found}.7`, found)}`
          : 'ETCD_STATE: a cluster runs already, etcd1 (10.0.0.129) says, but ETCD_STATE is new, and it has no quorum: bring its members back first',
      )
    },
  )
})
