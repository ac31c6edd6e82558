import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { driftReportSchema, driftResultSchema } from '../../src/guest/drift-result.ts'
import { PveHost } from '../stand-ins/proxmox/host.ts'
import { ubuntuImages } from '../support/build/ubuntu-images.ts'
import { removeFolder, testFolder, warmUp } from '../support/builds.ts'
import { mustDeploy } from '../support/deploy/host.ts'
import { seederOnHost } from '../support/nodes/host.ts'
import { seeder } from '../support/seeder.ts'

/**
 * `npm run test:soak`: nodes report no drift during an hour of work, or SOAK_MINUTES. The boot tests, which run more often,
 * check the drift of each image once.
 */
const minutes = Number(process.env.SOAK_MINUTES ?? 60)
const root = await testFolder('soak')
let host: PveHost

beforeAll(async () => {
  const haproxy = join(root, 'haproxy')
  await warmUp(haproxy)
  const { etcd } = await ubuntuImages(root, ['etcd'])
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
  const argv = ['qm', 'guest', 'exec', String(vmid), '--timeout', '300', '--', '/bin/bash', '-euc', script]
  const { stdout } = await host.run(argv)
  const result = JSON.parse(stdout)
  expect(result, script).toMatchObject({ exitcode: 0 })
  return result['out-data'] ?? ''
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
    const reported = new Map<string, number>()
    let [writes, reloads] = [0, 0]
    const count = (line: string) => reported.set(line, (reported.get(line) ?? 0) + 1)
    for (let round = 0; performance.now() - began < minutes * 60_000; round++) {
      await inGuest(200, put)
      await inGuest(201, 'systemctl reload haproxy.service')
      writes += 20
      reloads += 1
      if (round % 10 === 0) for (const line of await drift()) count(line)
      await sleep(20_000)
    }
    for (const line of await drift()) count(line)
    for (const vmid of [200, 201]) {
      const output = await inGuest(vmid, 'journalctl --unit=seeder-drift.service --output=cat --no-pager')
      const results = output.split('\n').filter((line) => line.startsWith('{'))
      for (const line of results)
        count(`${vmid} by its timer ${driftResultSchema.parse(JSON.parse(line)).state}`)
      if (results.length === 0) count(`${vmid} by its timer: ${output}`)
    }
    console.log(`${writes} writes to etcd, ${reloads} reloads of HAProxy; ${JSON.stringify([...reported])}`)
    expect([...reported.keys()].filter((line) => !/ (clean \[\]|clean|intact)$/.test(line))).toEqual([])
    expect([...reported.keys()].filter((line) => line.includes('by its timer'))).toHaveLength(2)
  },
  (minutes + 30) * 60_000,
)
