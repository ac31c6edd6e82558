import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { debian13Openssl } from '../../support/pki/openssl.ts'
import { emptyPlace, type TestPki } from '../../support/pki/place.ts'
import { seeder } from '../../support/seeder.ts'

/** Debian 12 has openssl 3.0, Debian 13 has 3.5: whatever the machine has, this is the latter. */
let scratch: string
let pki: TestPki
let env: Record<string, string>
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'seeder-openssl-'))
  pki = await emptyPlace()
  const bin = await debian13Openssl(scratch)
  env = { SEEDER_PKI: pki.folder, PATH: `${bin}:${process.env.PATH}` }
}, 120_000)
afterAll(async () => {
  await pki.remove()
  await rm(scratch, { recursive: true, force: true })
})

const run = (...argv: string[]) => seeder(['pki', ...argv], { env })
const openssl = (...argv: string[]) => execa('openssl', argv, { cwd: pki.folder, env })

test('Debian 13’s openssl makes what Debian 12’s does', async () => {
  for (const words of [
    'init',
    'issue etcd-member etcd1 --address 10.0.0.129',
    'issue apiserver-etcd-client',
    'renew etcd1',
    'check',
  ]) {
    const { code, stderr } = await run(...words.split(' '))
    expect({ words, code, failed: stderr.includes('seeder:') }).toEqual({ words, code: 0, failed: false })
  }

  expect((await openssl('version')).stdout).toMatch(/^OpenSSL 3\.5\./)
  const ca = 'authorities/etcd-ca/etcd-ca.crt'
  const strict = ['verify', '-x509_strict', '-no-CApath', '-no-CAstore', '-CAfile', ca]
  await openssl(...strict, ca)
  await openssl(...strict, '-purpose', 'sslserver', '-verify_ip', '10.0.0.129', 'issued/etcd1/etcd.crt')
  await openssl(...strict, '-purpose', 'sslclient', 'issued/apiserver-etcd-client/apiserver-etcd-client.crt')
  const { stdout } = await openssl('x509', '-in', 'issued/etcd1/etcd.crt', '-noout', '-text')
  const extensions = stdout.slice(
    stdout.indexOf('X509v3 extensions'),
    stdout.indexOf('Signature Algorithm:', 500),
  )
  expect(extensions.replace(/[0-9A-F]{2}(:[0-9A-F]{2}){19}/g, 'ID').replace(/ *\n */g, '\n')).toBe(
    [
      'X509v3 extensions:',
      'X509v3 Basic Constraints: critical',
      'CA:FALSE',
      'X509v3 Key Usage: critical',
      'Digital Signature',
      'X509v3 Extended Key Usage:',
      'TLS Web Server Authentication, TLS Web Client Authentication',
      'X509v3 Subject Key Identifier:',
      'ID',
      'X509v3 Authority Key Identifier:',
      'ID',
      'X509v3 Subject Alternative Name:',
      'DNS:etcd1, DNS:localhost, IP Address:10.0.0.129, IP Address:127.0.0.1',
      '',
    ].join('\n'),
  )
}, 120_000)
