import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { connect, createServer, type SecureVersion, type TLSSocket } from 'node:tls'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openAuthority } from '../../../src/pki/authority.ts'
import { issue, renew } from '../../../src/pki/issue.ts'
import type { KeyPair } from '../../../src/pki/openssl.ts'
import { parseRequest } from '../../../src/pki/profile.ts'
import { makePki, type TestPki } from '../../support/pki/place.ts'

const year = { now: new Date(), days: 365 }
let pki: TestPki
let other: TestPki
let ca: string
let member: KeyPair
let client: KeyPair
let strangers: KeyPair
beforeAll(async () => {
  ;[pki, other] = await Promise.all([makePki(), makePki()])
  const operator = parseRequest({ kind: 'etcd-client', name: 'operator' })
  const authority = await openAuthority(pki.folder)
  ca = (await authority.certificate('etcd-ca')).certificate
  member = (await authority.issueEtcdMember('etcd1', '10.0.0.129')).pair
  client = (await issue(pki, operator, year)).pair
  strangers = (await issue(other, operator, year)).pair
})
afterAll(async () => {
  await Promise.all([pki.remove(), other.remove()])
})

/** What a client whom the server has to know sees and is told. */
interface Meeting {
  readonly serves: KeyPair
  readonly asks: KeyPair | undefined
  readonly name?: string
  readonly version?: SecureVersion
}

/** A connection of both sides with certificates, on loopback; the word that the server says to the client. */
async function meet({ serves, asks, name = 'etcd1', version = 'TLSv1.3' }: Meeting): Promise<string> {
  const versions = { minVersion: version, maxVersion: version }
  const server = createServer({
    cert: serves.certificate,
    key: serves.key,
    ca,
    ...versions,
    requestCert: true,
    rejectUnauthorized: true,
  })
  server.on('secureConnection', (socket: TLSSocket) => {
    socket.end(`hello ${socket.getPeerCertificate().subject.CN}`)
  })
  server.on('tlsClientError', () => {})
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const socket = connect({
    host: '127.0.0.1',
    port,
    servername: name,
    ca,
    ...versions,
    ...(asks ? { cert: asks.certificate, key: asks.key } : {}),
  })
  try {
    let heard = ''
    for await (const chunk of socket) heard += chunk
    // With TLS 1.3 a server that does not know the client may just be gone.
    if (heard === '') throw new Error('the server hung up')
    return heard
  } finally {
    socket.destroy()
    server.close()
  }
}

describe('a handshake in which both sides show a certificate', () => {
  test.each(['TLSv1.2', 'TLSv1.3'] as const)('a member and a client know each other, %s', async (version) => {
    expect(await meet({ serves: member, asks: client, version })).toBe('hello operator')
  })

  test('a member asks another member, also by the name of this machine', async () => {
    expect(await meet({ serves: member, asks: member })).toBe('hello etcd1')
    expect(await meet({ serves: member, asks: member, name: 'localhost' })).toBe('hello etcd1')
  })

  test('a renewed certificate does as well as the old one', async () => {
    const [renewed] = await renew(pki, { names: ['operator'] }, year)
    if (!renewed) throw new Error('operator was not renewed')
    expect(renewed.pair.key).not.toBe(client.key)
    expect(await meet({ serves: member, asks: renewed.pair })).toBe('hello operator')
    expect(await meet({ serves: member, asks: client })).toBe('hello operator')
  })

  test('a client without a certificate, or with one by another CA, is refused', async () => {
    await expect(meet({ serves: member, asks: undefined })).rejects.toThrow(
      /certificate required|hung up|ECONNRESET/,
    )
    await expect(meet({ serves: member, asks: strangers })).rejects.toThrow(/unknown ca|hung up|ECONNRESET/)
  })

  test('a member by another name, or a client that serves, is refused', async () => {
    await expect(meet({ serves: member, asks: client, name: 'etcd2' })).rejects.toThrow(/altnames/)
    await expect(meet({ serves: client, asks: client })).rejects.toThrow(/unsupported|unsuitable|purpose/)
    await expect(meet({ serves: strangers, asks: client })).rejects.toThrow(/unable to verify|local issuer/)
  })
})
