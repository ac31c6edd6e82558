import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { ApiServer, Worker } from '../../../../src/boot-test/haproxy/backends.ts'
import { parseServerStates, statesOf } from '../../../../src/boot-test/haproxy/metrics.ts'
import { type ClusterCertificates, makeCertificates } from '../../../../src/boot-test/haproxy/test-bed.ts'
import {
  isBalanced,
  sendRequest,
  sendRequests,
  sendRequestsUntil,
  tally,
} from '../../../../src/boot-test/haproxy/traffic.ts'
import { get, probePort, readGreeting } from '../../../../src/boot-test/probe.ts'

const route = (port: number, to = '127.0.0.1') => ({ from: '127.0.0.1', to, port, timeoutMs: 2000 })
let folder: string
let certificates: ClusterCertificates
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'seeder-'))
  certificates = await makeCertificates(folder, 'kubernetes')
})
afterAll(() => rm(folder, { recursive: true }))

test('a worker answers with its name, stops, and starts again', async () => {
  const worker = new Worker({ name: 'w1', address: '127.0.0.1' }, { services: [30_080], health: 10_256 })
  await worker.start()
  expect(await sendRequest(route(30_080))).toMatchObject({
    backend: 'w1',
    client: '127.0.0.1',
    error: undefined,
  })
  expect(await get(route(10_256), '/healthz')).toBe('{}')
  await expect(get(route(10_256), '/other')).rejects.toThrow('status 404')
  await worker.stop()
  expect((await sendRequest(route(30_080))).error).toContain(
    'requested 127.0.0.1:30080/ from 127.0.0.1; connect ECONNREFUSED',
  )
  await worker.start()
  const samples = await sendRequestsUntil(route(30_080), (all) => all.length === 2, 5000)
  expect(tally(samples)).toBe('w1 ×2')
  await worker.stop()
})

test('only a certificate of the cluster with the right name is trusted', async () => {
  const servers = [certificates.good, certificates.wrongName, certificates.otherCa].map(
    (pair, index) => new ApiServer({ name: `cp${index + 1}`, address: `127.0.1.${index + 1}` }, pair),
  )
  await Promise.all(servers.map((server) => server.start(16_443)))
  const tls = { ca: certificates.ca, name: 'kubernetes' }
  expect(await get(route(16_443, '127.0.1.1'), '/version', tls)).toBe('{"server":"cp1"}')
  expect(await get(route(16_443, '127.0.1.1'), '/readyz', tls)).toBe('ok')
  await expect(get(route(16_443, '127.0.1.2'), '/', tls)).rejects.toThrow(/altnames/)
  await expect(get(route(16_443, '127.0.1.3'), '/', tls)).rejects.toThrow(/unable to verify|self.signed/)
  // A client that verifies the authority refuses it, so that it is never used; one that does not verify uses it.
  expect(servers[2]?.handshakes).toBe(0)
  expect(await get(route(16_443, '127.0.1.3'), '/version', { ca: '', name: 'kubernetes' })).toBe(
    '{"server":"cp3"}',
  )
  expect(servers[2]?.handshakes).toBe(1)
  expect(servers.every(({ connections }) => connections > 0)).toBe(true)
  await Promise.all(servers.map((server) => server.stop()))
})

test('ports are open or refused, and a greeting is read', async () => {
  const server = createServer().on('connection', (socket) => socket.end('SSH-2.0-test\r\n'))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  const port = typeof address === 'object' && address ? address.port : 0
  expect(await probePort(route(port))).toBe('open')
  expect(await readGreeting(route(port))).toBe('SSH-2.0-test')
  await new Promise((resolve) => server.close(resolve))
  expect(await probePort(route(port))).toBe('refused')
  await expect(readGreeting(route(port))).rejects.toThrow('could not connect')
})

test('balanced means equally often, without a failure', async () => {
  const by = (...backends: (string | undefined)[]) => backends.map((backend) => ({ backend, error: 'lost' }))
  expect(isBalanced(by('a', 'b', 'a', 'b'), ['a', 'b'])).toBe(true)
  expect(isBalanced(by('a', 'a', 'a', 'b'), ['a', 'b'])).toBe(false)
  expect(isBalanced(by('a', 'b', 'a', undefined), ['a', 'b'])).toBe(false)
  expect(isBalanced(by('a', 'b', 'c', 'c'), ['a', 'b'])).toBe(false)
  expect(tally(by('b', 'a', undefined, 'b'))).toBe('a ×1, b ×2, lost ×1')
  expect(await sendRequests(route(1), 2)).toHaveLength(2)
})

test('reads the states of servers from HAProxy’s metrics', () => {
  const states = parseServerStates(`# TYPE haproxy_server_status gauge
haproxy_server_status{proxy="nodeport_30080",server="w1",state="DOWN"} 0
haproxy_server_status{proxy="nodeport_30080",server="w1",state="UP"} 1
haproxy_server_status{proxy="nodeport_30443",server="w1",state="DOWN"} 1
haproxy_server_status{proxy="api",server="cp1",state="MAINT"} 1
haproxy_server_weight{proxy="api",server="cp1"} 1
`)
  expect(statesOf(states, 'w1')).toEqual(['UP', 'DOWN'])
  expect(statesOf(states, 'cp1')).toEqual(['MAINT'])
  expect(statesOf(states, 'cp2')).toEqual([])
})
