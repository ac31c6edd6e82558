import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { TestAuthority } from '../../../../src/boot-test/certificates.ts'
import { CLIENT_PORT, EtcdClient } from '../../../../src/boot-test/etcd/client.ts'
import { memberSubject } from '../../../../src/boot-test/etcd/configuration.ts'
import { Writer } from '../../../../src/boot-test/etcd/writer.ts'
import { goPrograms } from '../../../support/programs/build.ts'

/** A real etcd of one member, over mTLS. */
const address = '127.0.23.79'
let folder: string
let authority: TestAuthority
let client: EtcdClient
let server: ReturnType<typeof startEtcd>

function startEtcd(program: string) {
  const tls = (flag: string) =>
    ['--cert-file', '--key-file', '--trusted-ca-file'].map((name) => name.replace('--', flag))
  const files = ['etcd1.crt', 'etcd1.key', 'etcd-ca.crt'].map((name) => join(folder, name))
  return execa(
    program,
    [
      '--name=etcd1',
      `--data-dir=${join(folder, 'data')}`,
      '--log-level=error',
      `--listen-client-urls=https://${address}:${CLIENT_PORT}`,
      `--advertise-client-urls=https://${address}:${CLIENT_PORT}`,
      `--listen-peer-urls=https://${address}:2380`,
      `--initial-advertise-peer-urls=https://${address}:2380`,
      `--initial-cluster=etcd1=https://${address}:2380`,
      ...tls('--').flatMap((flag, index) => [flag, files[index] ?? '']),
      ...tls('--peer-').flatMap((flag, index) => [flag, files[index] ?? '']),
      '--client-cert-auth',
      '--peer-client-cert-auth',
    ],
    { reject: false },
  )
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'seeder etcd '))
  authority = await TestAuthority.make('etcd-ca', folder)
  await authority.issue('etcd1', memberSubject({ name: 'etcd1', address }))
  const pair = await authority.issue('client', { commonName: 'client', usages: ['clientAuth'] })
  client = new EtcdClient({ from: '127.0.0.1', ca: authority.cert, pair })
  server = startEtcd(join((await goPrograms('etcd-3.7')).folder, 'etcd'))
  await vi.waitUntil(
    () =>
      client.status(address, 2000).then(
        ({ leader }) => leader !== '0',
        () => false,
      ),
    { timeout: 20_000 },
  )
}, 120_000)
afterAll(async () => {
  client.close()
  server.kill()
  await server
  await rm(folder, { recursive: true })
})

test('writes, reads, and reports the leader and the members', async () => {
  const revision = await client.put(address, 'a/1', 'x', 2000)
  expect(await client.put(address, 'a/2', 'ü', 2000)).toBe(revision + 1)
  await client.put(address, 'b/1', 'other', 2000)
  expect([...(await client.range(address, 'a/', 2000))]).toEqual([
    ['a/1', 'x'],
    ['a/2', 'ü'],
  ])
  const status = await client.status(address, 2000)
  expect(status).toMatchObject({ learner: false, revision: revision + 2 })
  expect(status.leader).toBe(status.id)
  expect(await client.members(address, 2000)).toEqual([{ id: status.id, name: 'etcd1', learner: false }])
})

test('a client without a certificate of the authority is refused', async () => {
  const foreign = await TestAuthority.make('foreign', folder)
  const pair = await foreign.issue('unknown', { commonName: 'unknown', usages: ['clientAuth'] })
  for (const own of [undefined, pair]) {
    const refused = new EtcdClient({ from: '127.0.0.1', ca: authority.cert, pair: own })
    await expect(refused.members(address, 2000)).rejects.toThrow(/alert|ECONNRESET|EPIPE|hang up/)
    refused.close()
  }
  const trusting = new EtcdClient({ from: '127.0.0.1', ca: foreign.cert, pair })
  await expect(trusting.members(address, 2000)).rejects.toThrow(/unable to verify|self.signed/)
  trusting.close()
})

test('a writer records acknowledged writes, and continues with another member', async () => {
  const writer = new Writer(client, ['127.0.23.80', address], 50)
  writer.start()
  const first = await writer.nextAfter(0, 10_000)
  expect(first?.value).toBe(`2 by way of ${address}`)
  await expect.poll(() => writer.acknowledged.length, { timeout: 5000 }).toBeGreaterThan(5)
  await writer.stop()
  expect(writer.failures).toBe(1)
  expect(await writer.missing(address, 2000)).toEqual([])
  await client.put(address, writer.acknowledged[2]?.key ?? '', 'changed', 2000)
  expect(await writer.missing(address, 2000)).toEqual([`${writer.acknowledged[2]?.key}: changed`])
  expect(await writer.nextAfter(performance.now(), 200)).toBeUndefined()
})

test('ranges are read in pages', async () => {
  const put = (number: number) =>
    client.put(address, `page/${String(number).padStart(5, '0')}`, String(number), 5000)
  for (let first = 0; first < 2010; first += 30) {
    await Promise.all(Array.from({ length: 30 }, (_, index) => put(first + index)))
  }
  const found = await client.range(address, 'page/', 5000)
  expect(found.size).toBe(2010)
  expect(found.get('page/02009')).toBe('2009')
}, 60_000)
