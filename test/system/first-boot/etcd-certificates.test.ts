import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import {
  Authority,
  type CertificatePlan,
  future,
  type KeyPair,
  past,
} from '../../support/first-boot/etcd-certificates.ts'
import { Lan } from '../../support/first-boot/etcd-lan.ts'
import { EtcdNode } from '../../support/first-boot/etcd-node.ts'

const crt = '/etc/seeder/tls/etcd.crt'
const key = '/etc/seeder/tls/etcd.key'
const ca = '/etc/seeder/trust/etcd-ca.crt'
const names = 'DNS:etcd1,IP:10.0.0.129'

let authority: Authority
let otherAuthority: Authority
let expired: Authority
let good: KeyPair
let lan: Lan
let node: EtcdNode
beforeAll(async () => {
  ;[authority, otherAuthority, expired, lan] = await Promise.all([
    Authority.make('etcd'),
    Authority.make('another'),
    Authority.make('old', { time: past }),
    Lan.make(),
  ])
  good = await authority.issue('etcd1', { names })
  node = await EtcdNode.make(lan, 'etcd1', '10.0.0.129')
  await node.write(
    '/etc/seeder/node.env',
    'ETCD_STATE=new\nETCD_TOKEN=t\nETCD_MEMBERS="etcd1=10.0.0.129"\nETCD_HEARTBEAT_MS=10\nETCD_ELECTION_MS=100\n',
  )
}, 60_000)
beforeEach(() => deliver(good))
afterAll(async () => {
  await node.dispose()
  await Promise.all([lan, authority, otherAuthority, expired].map((one) => one.dispose()))
})

async function deliver(pair: KeyPair, caCert = authority.cert): Promise<void> {
  await node.write(crt, pair.cert)
  await node.write(key, pair.key, 0o600)
  await node.write(ca, caCert)
}

/** First boot refuses, with exactly these reasons, and starts nothing. */
async function refused(...messages: string[]): Promise<void> {
  const { console, calls, status } = await node.firstBoot()
  expect(console).toEqual(messages.map((message) => `seeder-first-boot: ${message}`))
  expect(status).toMatchObject({ state: 'failed', reason: messages.join('; ') })
  expect(calls).toEqual([])
}

describe('a member’s certificate', () => {
  const plans: [title: string, plan: CertificatePlan, message: string][] = [
    [
      'for another name',
      { names: 'DNS:etcd2,IP:10.0.0.129' },
      'is not for the name etcd1; it is for etcd2, 10.0.0.129',
    ],
    [
      'for another address',
      { names: 'DNS:etcd1,IP:10.0.0.130' },
      'is not for the address 10.0.0.129; it is for etcd1, 10.0.0.130',
    ],
    [
      'for an address as a name',
      { names: 'DNS:etcd1,DNS:10.0.0.129' },
      'is not for the address 10.0.0.129; it is for etcd1, 10.0.0.129',
    ],
    // Its common name is right, but no current TLS library looks at that.
    ['without a DNS name', { names: 'IP:10.0.0.129' }, 'is not for the name etcd1; it is for 10.0.0.129'],
    ['that has expired', { names, time: past }, 'expired on 2021-01-01 00:00:00Z'],
    [
      'for clients only',
      { names, usage: 'clientAuth' },
      'has no serverAuth in its extended key usage; a member needs both',
    ],
    [
      'for servers only',
      { names, usage: 'serverAuth' },
      'has no clientAuth in its extended key usage; a member needs both',
    ],
    [
      'without an extended key usage',
      { names, usage: '' },
      'has no serverAuth and clientAuth in its extended key usage; a member needs both',
    ],
  ]
  test.each(plans)('%s', async (_, plan, message) => {
    await deliver(await authority.issue('etcd1', plan))
    await refused(`${crt}: ${message}`)
  })

  test('that is not valid yet', async () => {
    await deliver(await authority.issue('etcd1', { names, time: future }))
    const { console } = await node.firstBoot()
    expect(console).toHaveLength(1)
    expect(console[0]).toMatch(
      /etcd\.crt: is not valid before 2098-01-01 00:00:00Z, and this machine's clock says 20\d\d-\d\d-\d\d /,
    )
  })

  test('without any name or address', async () => {
    await deliver(await authority.issue('etcd1', { names: '' }))
    await refused(
      `${crt}: is not for the name etcd1; it is for no name or address`,
      `${crt}: is not for the address 10.0.0.129; it is for no name or address`,
    )
  })

  test('of another CA', async () => {
    await deliver(await otherAuthority.issue('etcd1', { names }))
    await refused(`${crt}: is not signed by the CA in ${ca}; it is by CN=another`)
  })

  test('of a CA that has expired, beside one that has not', async () => {
    await deliver(await expired.issue('etcd1', { names }), authority.cert + expired.cert)
    await refused(`${crt}: is signed by a CA whose certificate in ${ca} does not count now: CN=old`)
  })

  test('that is missing, or no certificate', async () => {
    await node.run(`rm ${crt}`)
    await refused(`${crt}: is missing: this member's certificate`)
    await node.write(crt, 'hello\n')
    await refused(`${crt}: has no certificate (PEM) in it`)
  })
})

describe('its key', () => {
  test('another one’s', async () => {
    await node.write(key, (await authority.issue('etcd1', { names })).key)
    await refused(`${key}: is not the key of ${crt}`)
  })

  test('missing, or no key', async () => {
    await node.run(`rm ${key}`)
    await refused(`${key}: is missing: the key of this member's certificate`)
    await node.write(key, good.cert)
    await refused(`${key}: has no private key (PEM, without a passphrase) in it`)
  })

  test('with a passphrase', async () => {
    await node.run(`openssl pkey -in ${key} -aes256 -passout pass:secret -out /var/key; mv /var/key ${key}`)
    await refused(`${key}: has no private key (PEM, without a passphrase) in it`)
  })
})

describe('the CA’s file', () => {
  test('missing, or no certificate', async () => {
    await node.run(`rm ${ca}`)
    await refused(`${ca}: is missing: the CA certificate by which members and clients know each other`)
    await node.write(ca, 'hello\n')
    await refused(
      `${ca}: has no certificate (PEM) in it`,
      `${crt}: is not signed by the CA in ${ca}; it is by CN=etcd`,
    )
  })

  test('expired', async () => {
    await deliver(await expired.issue('etcd1', { names }), expired.cert)
    const { console } = await node.firstBoot()
    expect(console).toContain(`seeder-first-boot: ${ca}: expired on 2021-01-01 00:00:00Z`)
  })

  test('with a key in it', async () => {
    await node.write(ca, authority.cert + good.key)
    await refused(
      `${ca}: has a private key in it; it must be CA certificates alone, and that key is not secret any more`,
    )
  })

  test('with a certificate that is no CA’s', async () => {
    await node.write(ca, authority.cert + good.cert)
    await refused(`${ca}: has a certificate that is not a CA's (number 2 in it)`)
  })
})

test('a certificate that will do is used: with its CA’s successor in the file, with an old CA beside it', async () => {
  await deliver(good, otherAuthority.cert + authority.cert + expired.cert)
  const { console } = await node.firstBoot()
  expect(console).toEqual([
    expect.stringMatching(
      /^seeder-first-boot: ready: member etcd1 \(10\.0\.0\.129\), etcd 3\.\d+\.\d+: the cluster serves$/,
    ),
  ])

  // A key that everyone may read, as cloud-init writes files by default, does not stay that way.
  await node.write(key, good.key, 0o644)
  await node.firstBoot()
  expect(await node.run(`stat -c '%a %U:%G %n' ${key} /etc/etcd/tls /etc/etcd/tls/member.key`)).toBe(
    `600 root:root ${key}\n750 root:etcd /etc/etcd/tls\n640 root:etcd /etc/etcd/tls/member.key`,
  )

  // etcd reads a renewed certificate by itself; only a new CA takes a restart.
  await deliver(
    await authority.issue('etcd1', { names }),
    otherAuthority.cert + authority.cert + expired.cert,
  )
  expect((await node.firstBoot()).calls).not.toContain('stop etcd.service')
  const serial = `openssl x509 -noout -serial`
  expect(await node.run(`openssl s_client -connect 10.0.0.129:2379 </dev/null 2>/dev/null | ${serial}`)).toBe(
    await node.run(`${serial} -in ${crt}`),
  )
  await node.write(ca, authority.cert)
  expect((await node.firstBoot()).calls).toContain('stop etcd.service')

  // A bad one stops nothing that runs.
  const before = await node.run('cat /etc/etcd/tls/member.crt')
  await node.write(crt, (await otherAuthority.issue('etcd1', { names })).cert)
  expect((await node.firstBoot()).status.state).toBe('failed')
  expect(await node.run('cat /etc/etcd/tls/member.crt')).toBe(before)
  expect((await node.etcd('health')).exitCode).toBe(0)
})
