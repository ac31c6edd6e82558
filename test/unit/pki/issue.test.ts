import { X509Certificate } from 'node:crypto'
import { cp, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { execa } from 'execa'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { initialize, openAuthority } from '../../../src/pki/authority.ts'
import { issue, renew } from '../../../src/pki/issue.ts'
import { parseRequest } from '../../../src/pki/profile.ts'
import { contentOf, makePki, type TestPki } from '../../support/pki/place.ts'

const day = 24 * 60 * 60 * 1000
const now = new Date()
const ago = (days: number) => new Date(now.getTime() - days * day)
const year = { now, days: 365 }
const etcd1 = parseRequest({ kind: 'etcd-member', name: 'etcd1', address: '10.0.0.129' })
const operator = parseRequest({ kind: 'etcd-client', name: 'operator' })

let pki: TestPki
beforeEach(async () => {
  pki = await makePki(3650, ago(60))
})
afterEach(() => pki.remove())
const inside = (path: string) => join(pki.folder, path)
const certificateIn = async (path: string) => new X509Certificate(await readFile(inside(path)))

describe('the CAs', () => {
  test('are three, each with its own key, and stay when init runs again', async () => {
    const before = await contentOf(pki.folder)
    const { folder, authorities } = await initialize(pki, { now, days: 10 })
    expect(folder).toBe(pki.folder)
    expect(authorities.map(({ name, outcome }) => [name, outcome])).toEqual([
      ['etcd-ca', 'kept'],
      ['kubernetes-ca', 'kept'],
      ['front-proxy-ca', 'kept'],
    ])
    expect(await contentOf(pki.folder)).toEqual(before)
    const keys = await Promise.all(
      authorities.map(async ({ certificateFile }) =>
        new X509Certificate(await readFile(certificateFile)).publicKey.export({
          type: 'spki',
          format: 'pem',
        }),
      ),
    )
    expect(new Set(keys).size).toBe(3)
  })

  test('a missing one is made, and the others stay', async () => {
    const before = await contentOf(pki.folder)
    await rm(inside('authorities/kubernetes-ca'), { recursive: true })
    const { authorities } = await initialize(pki, { now, days: 10 })
    expect(authorities.map(({ outcome }) => outcome)).toEqual(['kept', 'made', 'kept'])
    const after = await contentOf(pki.folder)
    expect(Object.keys(after)).toEqual(Object.keys(before))
    expect(Object.keys(after).filter((path) => after[path] !== before[path])).toEqual([
      'authorities/kubernetes-ca/kubernetes-ca.crt',
      'authorities/kubernetes-ca/kubernetes-ca.key',
    ])
  })

  test.each([
    ['without its key', 'etcd-ca.key', undefined, 'has no key'],
    ['without its certificate', 'etcd-ca.crt', undefined, 'has a key, but no certificate'],
    ['whose certificate is none', 'etcd-ca.crt', 'x', 'has no certificate (PEM) in etcd-ca.crt'],
    [
      'whose key is none',
      'etcd-ca.key',
      'x',
      'has no private key (PEM, without a passphrase) in etcd-ca.key',
    ],
  ])('one %s is not replaced, and none is made', async (_, file, text, problem) => {
    await rm(inside('authorities/front-proxy-ca'), { recursive: true })
    const path = inside(`authorities/etcd-ca/${file}`)
    await (text === undefined ? rm(path) : writeFile(path, text))
    const before = await contentOf(pki.folder)
    await expect(initialize(pki, year)).rejects.toMatchObject({
      message: `etcd-ca cannot be used: ${inside('authorities/etcd-ca')} ${problem}`,
      fix: expect.stringContaining('restore the folder from a backup'),
    })
    expect(await contentOf(pki.folder)).toEqual(before)
    await expect(issue(pki, etcd1, year)).rejects.toThrow(problem)
  })

  test('a CA with the key of another, or with a passphrase, signs nothing', async () => {
    const key = inside('authorities/etcd-ca/etcd-ca.key')
    await cp(inside('authorities/kubernetes-ca/kubernetes-ca.key'), key)
    await expect(issue(pki, etcd1, year)).rejects.toThrow('has the key of another certificate')
    const { stdout } = await execa('openssl', ['pkey', '-in', key, '-aes256', '-passout', 'pass:secret'])
    await writeFile(key, stdout)
    await expect(issue(pki, etcd1, year)).rejects.toThrow('has no private key (PEM, without a passphrase)')
  })

  test('a CA that has expired, or is not valid yet, signs nothing', async () => {
    await rm(inside('authorities'), { recursive: true })
    await initialize(pki, { now: ago(10), days: 9 })
    await expect(issue(pki, etcd1, { now, days: 1 })).rejects.toMatchObject({
      message: `etcd-ca cannot be used: ${inside('authorities/etcd-ca')} expired on ${ago(1).toISOString().slice(0, 10)}`,
      fix: 'see "Replacing a CA" in docs/operations.md',
    })
    await expect(initialize(pki, year)).rejects.toThrow('expired on')
    await rm(inside('authorities'), { recursive: true })
    await initialize(pki, { now: ago(-10), days: 9 })
    await expect(issue(pki, etcd1, { now, days: 1 })).rejects.toThrow(
      /is not valid before .+, and this machine’s clock says/,
    )
  })

  test('no certificate outlasts its CA', async () => {
    await rm(inside('authorities'), { recursive: true })
    await initialize(pki, { now, days: 100 })
    await expect(issue(pki, etcd1, { now, days: 101 })).rejects.toMatchObject({
      message: expect.stringMatching(
        /^etcd-ca expires on \S+, and a certificate for 101 days would outlast it/,
      ),
      fix: 'give --days 99 at most, and see "Replacing a CA" in docs/operations.md',
    })
    await expect(issue(pki, etcd1, { now, days: 99 })).resolves.toMatchObject({ outcome: 'issued' })
  })
})

describe('a certificate', () => {
  test('is the requested one, by its CA, and openssl agrees', async () => {
    const { certificateFile, keyFile, outcome, notAfter, pair } = await issue(pki, etcd1, year)
    expect({ certificateFile, keyFile, outcome }).toEqual({
      certificateFile: inside('issued/etcd1/etcd.crt'),
      keyFile: inside('issued/etcd1/etcd.key'),
      outcome: 'issued',
    })
    expect(await readFile(certificateFile, 'utf8')).toBe(pair.certificate)
    expect(await readFile(keyFile, 'utf8')).toBe(pair.key)
    expect(notAfter.getTime()).toBe(Math.floor((now.getTime() + 365 * day) / 1000) * 1000)
    // Clocks differ.
    expect(
      now.getTime() - new X509Certificate(pair.certificate).validFromDate.getTime(),
    ).toBeGreaterThanOrEqual(5 * 60 * 1000)
    const verify = (purpose: string, ...more: string[]) =>
      execa(
        'openssl',
        [
          'verify',
          '-x509_strict',
          '-no-CApath',
          '-no-CAstore',
          '-purpose',
          purpose,
          ...more,
          '-CAfile',
          'authorities/etcd-ca/etcd-ca.crt',
          'issued/etcd1/etcd.crt',
        ],
        { cwd: pki.folder },
      )
    await verify('sslserver', '-verify_hostname', 'etcd1')
    await verify('sslserver', '-verify_hostname', 'localhost')
    await verify('sslserver', '-verify_ip', '10.0.0.129')
    await verify('sslserver', '-verify_ip', '127.0.0.1')
    await verify('sslclient')
    await expect(verify('sslserver', '-verify_hostname', 'etcd2')).rejects.toThrow(/ostname mismatch/)
  })

  test('is by no other CA, and a client’s has no server usage', async () => {
    await issue(pki, operator, year)
    const verify = (ca: string, purpose: string) =>
      execa(
        'openssl',
        [
          'verify',
          '-no-CApath',
          '-no-CAstore',
          '-purpose',
          purpose,
          '-CAfile',
          `authorities/${ca}/${ca}.crt`,
          'issued/operator/etcd-client.crt',
        ],
        { cwd: pki.folder },
      )
    await verify('etcd-ca', 'sslclient')
    await expect(verify('etcd-ca', 'sslserver')).rejects.toThrow(/unsuitable certificate purpose/i)
    await expect(verify('kubernetes-ca', 'sslclient')).rejects.toThrow(/unable to get local issuer/)
  })

  test('is kept when the same is requested again', async () => {
    const first = await issue(pki, etcd1, year)
    const second = await issue(pki, etcd1, { now, days: 30 })
    expect(second).toEqual({ ...first, outcome: 'kept' })
  })

  test('of the same name for something else is refused', async () => {
    await issue(pki, etcd1, year)
    const before = await contentOf(pki.folder)
    const other = parseRequest({ kind: 'etcd-member', name: 'etcd1', address: '10.0.0.130' })
    await expect(issue(pki, other, year)).rejects.toMatchObject({
      name: 'UsageError',
      message: 'etcd1 exists already: an etcd-member for 10.0.0.129',
      fix: `take another name; or, if that one was a mistake and is in use nowhere, remove ${inside('issued/etcd1')}`,
    })
    const client = parseRequest({ kind: 'etcd-client', name: 'etcd1' })
    await expect(issue(pki, client, year)).rejects.toThrow('etcd1 exists already: an etcd-member')
    expect(await contentOf(pki.folder)).toEqual(before)

    // As the message says.
    await rm(inside('issued/etcd1'), { recursive: true })
    await expect(issue(pki, other, year)).resolves.toMatchObject({ outcome: 'issued' })
  })

  test('that exists and cannot be used is not returned', async () => {
    await issue(pki, etcd1, { now: ago(30), days: 20 })
    await expect(issue(pki, etcd1, year)).rejects.toMatchObject({
      message: expect.stringMatching(/^etcd1 exists already, but it expired on \d{4}-\d\d-\d\d$/),
      fix: 'make a new one with: seeder pki renew etcd1',
    })
    await rm(inside('issued/etcd1/etcd.crt'))
    await expect(issue(pki, etcd1, year)).rejects.toMatchObject({
      message: 'etcd1 exists already, but it has a key, but no certificate',
      fix: `remove ${inside('issued/etcd1')}, and issue it again`,
    })
  })
})

describe('renewing', () => {
  test('gives the same name and address a new key', async () => {
    await issue(pki, etcd1, year)
    const before = await certificateIn('issued/etcd1/etcd.crt')
    const [renewed] = await renew(pki, { names: ['etcd1', 'etcd1'] }, { now, days: 400 })
    const after = await certificateIn('issued/etcd1/etcd.crt')
    expect(renewed).toMatchObject({ request: etcd1, outcome: 'renewed', notAfter: after.validToDate })
    expect(after.subject).toBe(before.subject)
    expect(after.subjectAltName).toBe(before.subjectAltName)
    expect(after.keyUsage).toEqual(before.keyUsage)
    expect(after.publicKey.equals(before.publicKey)).toBe(false)
    expect(after.serialNumber).not.toBe(before.serialNumber)
    expect(Object.keys(await contentOf(pki.folder)).filter((path) => path.startsWith('issued/etcd'))).toEqual(
      ['issued/etcd1/', 'issued/etcd1/etcd.crt', 'issued/etcd1/etcd.key'],
    )
  })

  test('renews those that expire within some days, expired ones too, and no others', async () => {
    const member = (name: string, last: number) =>
      parseRequest({ kind: 'etcd-member', name, address: `10.0.0.${last}` })
    await issue(pki, member('etcd1', 129), { now: ago(30), days: 20 })
    await issue(pki, member('etcd2', 130), { now, days: 29 })
    await issue(pki, member('etcd3', 131), { now, days: 31 })
    const renewed = await renew(pki, { within: 30 }, year)
    expect(renewed.map(({ request }) => request.name)).toEqual(['etcd1', 'etcd2'])
    expect(await renew(pki, { within: 30 }, year)).toEqual([])
  })

  test('replaces a certificate whose key is lost, or that is by an earlier CA', async () => {
    await issue(pki, etcd1, year)
    await rm(inside('issued/etcd1/etcd.key'))
    await rm(inside('authorities/etcd-ca'), { recursive: true })
    await initialize(pki, { now, days: 1000 })
    await renew(pki, { names: ['etcd1'] }, year)
    await expect(issue(pki, etcd1, year)).resolves.toMatchObject({ outcome: 'kept' })
  })

  test('renews all or nothing', async () => {
    await issue(pki, etcd1, year)
    await issue(pki, operator, year)
    await rm(inside('issued/operator/etcd-client.crt'))
    const before = await contentOf(pki.folder)
    await expect(renew(pki, { names: ['etcd1', 'operator'] }, year)).rejects.toMatchObject({
      message: 'operator cannot be renewed: it has a key, but no certificate',
      fix: `remove ${inside('issued/operator')}, and issue it again`,
    })
    await expect(renew(pki, { names: ['etcd1', 'etcd9'] }, year)).rejects.toMatchObject({
      name: 'UsageError',
      message: 'There is no certificate "etcd9"',
      fix: 'there are: etcd1, operator',
    })
    await expect(renew(pki, { names: ['etcd1', '../authorities/etcd-ca'] }, year)).rejects.toThrow(
      'There is no certificate "../authorities/etcd-ca"',
    )
    await expect(renew(pki, { names: ['etcd1', 'etcd-ca'] }, year)).rejects.toThrow('etcd-ca is a CA')
    await expect(renew(pki, { names: ['etcd1'] }, { now, days: 9999 })).rejects.toThrow('would outlast it')
    expect(await contentOf(pki.folder)).toEqual(before)
  })

  test('leaves folders of other programs alone', async () => {
    await issue(pki, etcd1, year)
    await cp(inside('issued/etcd1'), inside('issued/etcd2'), { recursive: true })
    await expect(renew(pki, { names: ['etcd2'] }, year)).rejects.toMatchObject({
      message:
        'etcd2 cannot be renewed: it is a certificate for CN=etcd1, etcd1, localhost, 10.0.0.129, 127.0.0.1, which is not what etcd2 is issued for',
    })
  })
})

describe('for other parts of Seeder', () => {
  test('a member gets its pair, the same one for every request', async () => {
    const authority = await openAuthority(pki.folder)
    const [first, second] = await Promise.all([
      authority.issueEtcdMember('etcd1', '10.0.0.129'),
      authority.issueEtcdMember('etcd1', '10.0.0.129'),
    ])
    expect(second.pair).toEqual(first.pair)
    expect([first.outcome, second.outcome].sort()).toEqual(['issued', 'kept'])
    await expect(authority.issueEtcdMember('etcd1', '10.0.0.130')).rejects.toThrow('etcd1 exists already')
    await expect(authority.issueEtcdMember('etcd 1', '10.0.0.130')).rejects.toThrow('"etcd 1" is no name')
  })

  test('the API servers get their pair, and every user the CAs’ certificates', async () => {
    const authority = await openAuthority(pki.folder)
    const { pair } = await authority.issueApiserverEtcdClient()
    const { certificate, publicKeyHash } = await authority.certificate('etcd-ca')
    expect(certificate).toBe(await readFile(inside('authorities/etcd-ca/etcd-ca.crt'), 'utf8'))
    expect(certificate).not.toContain('PRIVATE')
    expect(new X509Certificate(pair.certificate).verify(new X509Certificate(certificate).publicKey)).toBe(
      true,
    )
    // As docs/operations.md and kubeadm have it.
    const { stdout } = await execa(
      'sh',
      ['-c', 'openssl x509 -noout -pubkey | openssl pkey -pubin -outform der | sha256sum'],
      { input: certificate },
    )
    expect(publicKeyHash).toBe(`sha256:${stdout.split(' ')[0]}`)
  })

  test('missing CAs are reported at once', async () => {
    await expect(openAuthority(inside('nowhere'))).rejects.toThrow('There are no certificate authorities in')
  })
})
