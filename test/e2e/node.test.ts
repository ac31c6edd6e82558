import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type DriftReport, driftReportSchema } from '../../src/guest/drift-result.ts'
import { PveHost } from '../stand-ins/proxmox/host.ts'
import { type BuiltImage, ubuntuImages } from '../support/build/ubuntu-images.ts'
import { removeFolder, testFolder } from '../support/builds.ts'
import { mustDeploy, tagged } from '../support/deploy/host.ts'
import { seederNode, seederOnHost } from '../support/nodes/host.ts'
import { seeder } from '../support/seeder.ts'

/**
 * From an image to a cluster: the etcd image is deployed on a stand-in Proxmox VE host, three nodes are made of its template
 * with certificates of `seeder pki`, really boot, and one of them is replaced.
 */
const root = await testFolder('nodes')
const pki = join(root, 'pki')
let image: BuiltImage
let host: PveHost

beforeAll(async () => {
  const { etcd } = await ubuntuImages(root, ['etcd'])
  if (!etcd) throw new Error('nothing was built')
  image = etcd
  host = await PveHost.create(join(root, 'host'))
  await host.start()
})
afterAll(async () => {
  await host.remove()
  await removeFolder(root)
})

/** Runs `seeder node`, which has to succeed. */
async function node(...argv: string[]): Promise<string> {
  const { code, stdout, stderr } = await seederNode(host, argv)
  expect(code, stderr).toBe(0)
  return stdout
}

/** The output of a command in a guest. */
async function inGuest(vmid: number, ...command: string[]): Promise<string> {
  const argv = ['qm', 'guest', 'exec', String(vmid), '--timeout', '120', '--', ...command]
  const { stdout, stderr } = await host.run(argv)
  const result = JSON.parse(stdout)
  expect(result, `${command.join(' ')}: ${stderr}`).toMatchObject({ exitcode: 0 })
  return result['out-data'] ?? ''
}

/** The members as a member lists them: name, address, and state. */
async function members(vmid: number): Promise<string[]> {
  const lines = (await inGuest(vmid, '/usr/lib/seeder/etcd', 'members')).trim().split('\n')
  return lines
    .map((line) => {
      const [name, address, , state] = line.split(/\s+/)
      return `${name} ${address} ${state}`
    })
    .sort()
}

/** The report of `seeder status --drift`, and its exit status. */
async function drift() {
  const { code, stdout, stderr } = await seederOnHost(host, ['status', '--drift', '--json'])
  expect(stdout, stderr).not.toBe('')
  const { nodes, templates }: DriftReport = driftReportSchema.parse(JSON.parse(stdout))
  return {
    code,
    nodes: nodes.map(({ name, state, reason }) => `${name} ${state}${reason && `: ${reason}`}`),
    findings: nodes.flatMap(({ name, findings }) =>
      findings.map((finding) => `${name} ${finding.kind} ${finding.name}`),
    ),
    templates: templates.map(({ vmid, state }) => `${vmid} ${state}`),
  }
}

/** Runs etcdctl on a member with the member's certificate. */
function etcdctl(vmid: number, ...argv: string[]): Promise<string> {
  const tls = '/etc/etcd/tls'
  const own = [`--cacert=${tls}/ca.crt`, `--cert=${tls}/member.crt`, `--key=${tls}/member.key`]
  return inGuest(vmid, '/usr/bin/env', 'etcdctl', '--endpoints=https://127.0.0.1:2379', ...own, ...argv)
}

/** The members once they have a leader: on a busy host they may elect a new one at any time. */
async function membersWithLeader(vmid: number): Promise<string[]> {
  for (const deadline = performance.now() + 60_000; ; await sleep(1000)) {
    const found = await members(vmid)
    const leaders = found.filter((line) => line.endsWith(' leader')).length
    if (leaders === 1 || performance.now() > deadline) return leaders === 1 ? found : [...found, 'no leader']
  }
}

describe('a cluster of etcd', { timeout: 25 * 60_000 }, () => {
  it('is made of the template, and elects a leader', async () => {
    await mustDeploy(host, ['--storage', 'local-lvm', '--allow-unsigned', '--no-smoke', image.out])
    expect(await tagged(host, 'current')).toEqual([9000])
    expect((await seeder(['pki', 'init', '--dir', pki])).code).toBe(0)

    const argv = 'create etcd1 etcd2 etcd3 --role etcd --new-cluster --data-disk 2 --wait 1200'
    const created = await node(...argv.split(' '), '--pki', pki)
    expect(created).toMatch(
      /^etcd1: etcd, VM 200, 10\.0\.0\.129: .*\netcd2: etcd, VM 201, .*\netcd3: etcd, VM 202, /,
    )
    const found = await membersWithLeader(200)
    const each = [1, 2, 3].map((number) =>
      expect.stringMatching(`^etcd${number} 10\\.0\\.0\\.${128 + number} `),
    )
    expect(found).toEqual(each)
    expect(await membersWithLeader(202)).toEqual(each)
    await etcdctl(200, 'put', 'kept', 'through the replacement')
    expect(await etcdctl(201, 'get', 'kept', '--print-value-only')).toBe('through the replacement\n')
  })

  it('keeps its data while a member is replaced', async () => {
    expect(await node('replace', 'etcd1', '--with', 'etcd4', '--pki', pki, '--wait', '1200')).toContain(
      'etcd4',
    )
    const found = await membersWithLeader(201)
    const each = [2, 3, 4].map((number) =>
      expect.stringMatching(`^etcd${number} 10\\.0\\.0\\.${128 + number} `),
    )
    expect(found).toEqual(each)
    expect([...(await host.configs()).keys()]).toEqual([201, 202, 203, 9000])
    expect(await etcdctl(203, 'get', 'kept', '--print-value-only')).toBe('through the replacement\n')
    expect(JSON.parse(await inGuest(203, '/usr/lib/seeder/etcd', 'health'))).toMatchObject({ healthy: true })
    const rows = JSON.parse(await node('list', '--json'))
    expect(rows.map(({ name, state }: { name: string; state: string }) => `${name} ${state}`)).toEqual(
      ['etcd2', 'etcd3', 'etcd4'].map((name) => expect.stringMatching(`^${name} running`)),
    )
  })

  it('reports the drift of each node and of the template', async () => {
    const before = await drift()
    expect(before).toEqual({
      code: 0,
      nodes: ['etcd2 clean', 'etcd3 clean', 'etcd4 clean'],
      findings: [],
      templates: ['9000 intact'],
    })
    await inGuest(202, '/bin/sh', '-c', 'echo hello >>/etc/motd; systemctl stop etcd.service')
    // Behind the UKI the ESP is empty, so that no clone reads this byte.
    const script = `path=$(pvesm path "$(sed -n 's/^scsi0: \\([^,]*\\),.*/\\1/p' /etc/pve/qemu-server/9000.conf)")
       printf X | dd of="$path" bs=1 seek=$((64 << 20)) conv=notrunc status=none`
    const changed = await host.run(['sh', '-euc', script])
    expect(changed.code, changed.stderr).toBe(0)
    expect(await drift()).toEqual({
      code: 1,
      nodes: ['etcd2 clean', 'etcd3 drifted', 'etcd4 clean'],
      findings: ['etcd3 file-changed /etc/motd', 'etcd3 unit-stopped etcd.service'],
      templates: ['9000 changed'],
    })
  })

  it('leaves nothing when it is destroyed', async () => {
    await node('destroy', 'etcd2', 'etcd3', 'etcd4', '--force')
    expect([...(await host.configs()).keys()]).toEqual([9000])
    const { stdout } = await host.run(['pvesm', 'list', 'local-lvm'])
    expect(stdout).not.toMatch(/vm-20\d-/)
    expect(
      (await host.run(['sh', '-c', 'ls /var/lib/vz/snippets /var/lib/seeder/nodes'])).stdout,
    ).not.toContain('etcd')
  })
})
