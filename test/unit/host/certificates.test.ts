import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readAuthorities, readPair } from '../../../src/host/certificates.ts'
import { certificateFiles, certificatesIn, certificatesOfPki } from '../../../src/host/node/tls.ts'
import { initialize, openAuthority } from '../../../src/pki/authority.ts'
import { defaultDays } from '../../../src/pki/validity.ts'
import { Authority, future, past } from '../../support/first-boot/etcd-certificates.ts'

let folder = ''
const at = (name: string) => join(folder, name)
const member = { names: ['etcd1'], addresses: ['10.0.0.129'], usages: ['serverAuth', 'clientAuth'] } as const
const placement = (name: string, address: string) => ({
  name,
  vmid: 200,
  token: '',
  addresses: { back: address },
})

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'seeder certificates '))
  const [ca, other, old] = await Promise.all([
    Authority.make('etcd-ca'),
    Authority.make('other'),
    Authority.make('old', { time: past }),
  ])
  const names = 'DNS:etcd1,DNS:localhost,IP:10.0.0.129,IP:127.0.0.1'
  const files = {
    etcd1: await ca.issue('etcd1', { names }),
    'apiserver-etcd-client': await ca.issue('kube-apiserver-etcd-client', { names: '', usage: 'clientAuth' }),
    foreign: await other.issue('etcd1', { names }),
    expired: await ca.issue('etcd1', { names, time: past }),
    coming: await ca.issue('etcd1', { names, time: future }),
  }
  for (const [name, { cert, key }] of Object.entries(files)) {
    await writeFile(at(`${name}.crt`), cert)
    await writeFile(at(`${name}.key`), key)
  }
  await writeFile(at('etcd-ca.crt'), ca.cert)
  await writeFile(at('old.crt'), old.cert)
  await writeFile(at('both.crt'), `${old.cert}\n# text\n${ca.cert}`)
  await writeFile(at('leak.crt'), `${ca.cert}${files.etcd1.key}`)
  await writeFile(at('junk.crt'), '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n')
  await writeFile(at('empty.crt'), '')
  const passphrase = ['-aes256', '-passout', 'pass:secret', '-out', at('locked.key')]
  await execa('openssl', ['pkey', '-in', at('etcd1.key'), ...passphrase])
  await Promise.all([ca.dispose(), other.dispose(), old.dispose()])
})
afterAll(() => rm(folder, { recursive: true }))

describe('CA certificates for a node', () => {
  it('are accepted, also several, and without other text in the file', async () => {
    const ca = await readFile(at('etcd-ca.crt'), 'utf8')
    expect(await readAuthorities(at('etcd-ca.crt'))).toBe(ca)
    expect(await readAuthorities(at('both.crt'))).toBe(`${await readFile(at('old.crt'), 'utf8')}${ca}`)
  })

  it.each([
    ['leak.crt', 'has a private key in it'],
    ['empty.crt', 'has no certificate (PEM) in it'],
    ['junk.crt', 'has a certificate that cannot be read'],
    ['etcd1.crt', 'has a certificate that is not a CA’s'],
    ['old.crt', 'expired on Jan  1 00:00:00 2021 GMT'],
    ['none.crt', 'cannot be read'],
  ])('are refused: %s %s', async (name, reason) => {
    await expect(readAuthorities(at(name))).rejects.toThrow(`${at(name)} ${reason}`)
  })
})

describe('a certificate and its key for a node', () => {
  const pair = async (crt: string, key: string, use: Parameters<typeof readPair>[3] = member) =>
    readPair(at(crt), at(key), await readFile(at('etcd-ca.crt'), 'utf8'), use)

  it('are accepted when they are the node’s', async () => {
    const { certificate, key } = await pair('etcd1.crt', 'etcd1.key')
    expect(certificate).toBe(await readFile(at('etcd1.crt'), 'utf8'))
    expect(key).toContain('-----BEGIN PRIVATE KEY-----')
  })

  it.each([
    ['etcd1.crt', 'foreign.key', member, 'foreign.key is not the key of'],
    ['etcd1.crt', 'locked.key', member, 'locked.key has no private key (PEM, without a passphrase) in it'],
    ['etcd1.crt', 'etcd1.crt', member, 'etcd1.crt has no private key'],
    [
      'etcd1.crt',
      'etcd1.key',
      { ...member, names: ['etcd2'] },
      'is not for the name etcd2; it is for DNS:etcd1',
    ],
    ['etcd1.crt', 'etcd1.key', { ...member, addresses: ['10.0.0.130'] }, 'is not for the address 10.0.0.130'],
    ['foreign.crt', 'foreign.key', member, 'is not signed by the CA that goes with it; it is by CN=other'],
    ['expired.crt', 'expired.key', member, 'expired on Jan  1 00:00:00 2021 GMT'],
    ['coming.crt', 'coming.key', member, 'is not valid before Jan  1 00:00:00 2098 GMT'],
    [
      'apiserver-etcd-client.crt',
      'apiserver-etcd-client.key',
      { ...member, names: [], addresses: [] },
      'has no serverAuth in its extended key usage',
    ],
  ] as const)('are refused: %s with %s', async (crt, key, use, reason) => {
    await expect(pair(crt, key, use)).rejects.toThrow(reason)
  })
})

describe('the files that a role gets', () => {
  const paths = async (...args: Parameters<typeof certificateFiles>) =>
    (await certificateFiles(...args)).map(({ path, permissions }) => `${permissions} ${path}`)

  it('are those that its first boot needs', async () => {
    const certificates = certificatesIn(folder)
    expect(await paths(certificates, 'etcd', {}, placement('etcd1', '10.0.0.129'))).toEqual([
      '0644 /etc/seeder/trust/etcd-ca.crt',
      '0644 /etc/seeder/tls/etcd.crt',
      '0600 /etc/seeder/tls/etcd.key',
    ])
    expect(
      await paths(certificates, 'control-plane', { BOOTSTRAP: 'init' }, placement('cp1', '10.0.0.70')),
    ).toEqual([
      '0644 /etc/seeder/trust/etcd-ca.crt',
      '0644 /etc/seeder/tls/apiserver-etcd-client.crt',
      '0600 /etc/seeder/tls/apiserver-etcd-client.key',
    ])
    for (const role of ['control-plane', 'worker', 'haproxy'] as const) {
      expect(await paths(certificates, role, { BOOTSTRAP: 'join' }, placement('x', '10.0.0.70'))).toEqual([])
    }
  })

  it('are issued by the operator’s PKI, and not for a plan', async () => {
    const pki = { folder: join(folder, 'pki'), note: () => {} }
    await initialize(pki, { now: new Date(), days: 2 * defaultDays.leaf })
    const open = () => openAuthority(pki.folder)
    const one = placement('etcd1', '10.0.0.129')
    const planned = await certificateFiles(certificatesOfPki(open, false), 'etcd', {}, one)
    expect(planned.map(({ path }) => path)).toEqual([
      '/etc/seeder/trust/etcd-ca.crt',
      '/etc/seeder/tls/etcd.crt',
      '/etc/seeder/tls/etcd.key',
    ])
    expect(planned[2]?.content).toBe('(issued when the node is created)\n')
    expect(existsSync(join(pki.folder, 'issued/etcd1'))).toBe(false)

    const certificates = certificatesOfPki(open, true)
    const [ca, certificate, key] = await certificateFiles(certificates, 'etcd', {}, one)
    expect(ca?.content).toBe(planned[0]?.content)
    await writeFile(at('issued.crt'), certificate?.content ?? '')
    await writeFile(at('issued.key'), key?.content ?? '')
    await readPair(at('issued.crt'), at('issued.key'), ca?.content, member)
    const again = await certificateFiles(certificates, 'etcd', {}, one)
    expect(again[1]?.content).toBe(certificate?.content)
    const client = await certificateFiles(certificates, 'control-plane', { BOOTSTRAP: 'init' }, one)
    expect(client.map(({ path }) => path)[1]).toBe('/etc/seeder/tls/apiserver-etcd-client.crt')
    expect(await certificateFiles(certificates, 'haproxy', {}, one)).toEqual([])
  })

  it('need no PKI for roles without certificates', async () => {
    const none = certificatesOfPki(() => openAuthority(join(folder, 'none')), true)
    expect(await certificateFiles(none, 'worker', {}, placement('w1', '10.0.0.70'))).toEqual([])
    await expect(certificateFiles(none, 'etcd', {}, placement('etcd1', '10.0.0.129'))).rejects.toThrow(
      'There are no certificate authorities in',
    )
  })
})
