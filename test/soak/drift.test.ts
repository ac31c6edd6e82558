import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { driftReportSchema, driftResultSchema } from '../../src/guest/drift-result.ts'
import { PveHost } from '../stand-ins/proxmox/host.ts'
import { buildUbuntuImages } from '../support/build/ubuntu-images.ts'
import { removeFolder, testFolder, warmUp } from '../support/builds.ts'
import { mustDeploy } from '../support/deploy/host.ts'
import { seederOnHost } from '../support/nodes/host.ts'
import { seeder } from '../support/seeder.ts'

/**
 * `npm run test:soak`: nodes that do their work for an hour, or SOAK_MINUTES, have nothing to report. Too long for every run
 * of the tests: the proofs ask each image once, after its work.
 */
const minutes = Number(process.env.SOAK_MINUTES ?? 60)
const root = await testFolder('soak')
let host: PveHost

beforeAll(async () => {
  const haproxy = join(root, 'haproxy')
  await warmUp(haproxy)
  const { etcd } = await buildUbuntuImages(root, ['etcd'])
  host = await PveHost.create(join(root, 'host'))
  await host.start()
  const policy = ['--storage', 'local-lvm', '--allow-unsigned', '--no-smoke']
  await mustDeploy(host, [...policy, haproxy, etcd?.out ?? ''])
  const pki = join(root, 'pki')
  expect((await seeder(['pki', 'init', '--dir', pki])).code).toBe(0)
  await node('create', 'etcd1', '--role', 'etcd', '--new-cluster', '--pki', pki, '--wait', '1200')
  const values = ['--set', 'NODEPORTS=30080', '--set', 'NODEPORT_BACKENDS=w1=10.0.0.70']
  await node('create', 'lb1', '--role', 'haproxy', ...values, '--set', 'VIP=', '--wait', '1200')
}, 30 * 60_000)
afterAll(async () => {
  await host.remove()
  await removeFolder(root)
})

async function node(...argv: string[]): Promise<void> {
  const { code, stderr } = await seederOnHost(host, ['node', ...argv])
  expect(code, stderr).toBe(0)
}

async function inGuest(vmid: number, script: string): Promise<string> {
  const { stdout } = await host.run([
    ...['qm', 'guest', 'exec', String(vmid), '--timeout', '300', '--', '/bin/bash', '-euc', script],
  ])
  const answer = JSON.parse(stdout)
  expect(answer, script).toMatchObject({ exitcode: 0 })
  return answer['out-data'] ?? ''
}

const tls = '/etc/etcd/tls'
const put = `for n in {1..20}; do etcdctl --endpoints=https://127.0.0.1:2379 --cacert=${tls}/ca.crt \\
  --cert=${tls}/member.crt --key=${tls}/member.key --command-timeout=60s \\
  put "key-$n" "$(date)" >/dev/null; done`

/** Every node and template, `NAME STATE`. */
async function drift(): Promise<string[]> {
  const { stdout, stderr } = await seederOnHost(host, ['status', '--drift', '--json'])
  expect(stdout, stderr).not.toBe('')
  const { nodes, templates } = driftReportSchema.parse(JSON.parse(stdout))
  return [
    ...nodes.map(
      ({ name, state, findings, reason }) => `${name} ${state} ${JSON.stringify(findings)}${reason}`,
    ),
    ...templates.map(({ vmid, state }) => `${vmid} ${state}`),
  ]
}

it(
  `reports nothing for ${minutes} minutes of work`,
  async () => {
    const began = performance.now()
    const said = new Map<string, number>()
    let [writes, reloads] = [0, 0]
    const seen = (line: string) => said.set(line, (said.get(line) ?? 0) + 1)
    for (let round = 0; performance.now() - began < minutes * 60_000; round++) {
      await inGuest(200, put)
      await inGuest(201, 'systemctl reload haproxy.service')
      writes += 20
      reloads += 1
      if (round % 10 === 0) for (const line of await drift()) seen(line)
      await sleep(20_000)
    }
    for (const line of await drift()) seen(line)
    for (const vmid of [200, 201]) {
      const own = await inGuest(vmid, 'journalctl --unit=seeder-drift.service --output=cat --no-pager')
      const results = own.split('\n').filter((line) => line.startsWith('{'))
      for (const line of results)
        seen(`${vmid} by its timer ${driftResultSchema.parse(JSON.parse(line)).state}`)
      if (results.length === 0) seen(`${vmid} by its timer: ${own}`)
    }
    console.log(`${writes} writes to etcd, ${reloads} reloads of HAProxy; ${JSON.stringify([...said])}`)
    expect([...said.keys()].filter((line) => !/ (clean \[\]|clean|intact)$/.test(line))).toEqual([])
    expect([...said.keys()].filter((line) => line.includes('by its timer'))).toHaveLength(2)
  },
  (minutes + 30) * 60_000,
)
