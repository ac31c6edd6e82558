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
let otherPki: KeyPair
beforeAll(async () => {
  ;[pki, other] = await Promise.all([makePki(), makePki()])
  const operator = parseRequest({ kind: 'etcd-client', name: 'operator' })
  const authority = await openAuthority(pki.folder)
  ca = (await authority.certificate('etcd-ca')).certificate
  member = (await authority.issueEtcdMember('etcd1', '10.0.0.129')).pair
  client = (await issue(pki, operator, year)).pair
  otherPki = (await issue(other, operator, year)).pair
})
afterAll(async () => {
  await Promise.all([pki.remove(), other.remove()])
})

/** A connection of a client to a server, with their certificates. */
interface Handshake {
  readonly serverPair: KeyPair
  readonly clientPair: KeyPair | undefined
  readonly name?: string
  readonly version?: SecureVersion
}

/** A connection of both sides with certificates, on loopback; the word that the server says to the client. */
async function handshake({
  serverPair,
  clientPair,
  name = 'etcd1',
  version = 'TLSv1.3',
}: Handshake): Promise<string> {
  const versions = { minVersion: version, maxVersion: version }
  const server = createServer({
    cert: serverPair.certificate,
    key: serverPair.key,
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
    ...(clientPair ? { cert: clientPair.certificate, key: clientPair.key } : {}),
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
    expect(await handshake({ serverPair: member, clientPair: client, version })).toBe('hello operator')
  })

  test('a member connects to another member, also by the name of this machine', async () => {
    expect(await handshake({ serverPair: member, clientPair: member })).toBe('hello etcd1')
    expect(await handshake({ serverPair: member, clientPair: member, name: 'localhost' })).toBe('hello etcd1')
  })

  test('a renewed certificate does as well as the old one', async () => {
    const [renewed] = await renew(pki, { names: ['operator'] }, year)
    if (!renewed) throw new Error('operator was not renewed')
    expect(renewed.pair.key).not.toBe(client.key)
    expect(await handshake({ serverPair: member, clientPair: renewed.pair })).toBe('hello operator')
    expect(await handshake({ serverPair: member, clientPair: client })).toBe('hello operator')
  })

  test('a client without a certificate, or with one by another CA, is refused', async () => {
    await expect(handshake({ serverPair: member, clientPair: undefined })).rejects.toThrow(
      /certificate required|hung up|ECONNRESET/,
    )
    await expect(handshake({ serverPair: member, clientPair: otherPki })).rejects.toThrow(
      /unknown ca|hung up|ECONNRESET/,
    )
  })

  test('a member by another name, or a client in the place of a server, is refused', async () => {
    await expect(handshake({ serverPair: member, clientPair: client, name: 'etcd2' })).rejects.toThrow(
      /altnames/,
    )
    await expect(handshake({ serverPair: client, clientPair: client })).rejects.toThrow(
      /unsupported|unsuitable|purpose/,
    )
    await expect(handshake({ serverPair: otherPki, clientPair: client })).rejects.toThrow(
      /unable to verify|local issuer/,
    )
  })
})
