import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type NodeHost, nodeHost } from '../../../support/nodes/fixture.ts'
import { hostFile, makeTemplate, must } from '../../../support/nodes/template.ts'

let at: NodeHost
beforeAll(async () => {
  at = await nodeHost('replace')
  await at.ok('create', 'etcd1', 'etcd2', 'etcd3', '--role', 'etcd', '--new-cluster', '--tls', at.tls)
  await at.ok('create', 'lb1', 'lb2', '--role', 'haproxy', '--set', 'NTP_SERVERS=10.0.0.1')
  await at.ok('create', 'w1', '--role', 'worker', '--set', 'KUBE_PROXY_MODE=nftables')
}, 240_000)
afterAll(() => at.dispose())
beforeEach(() => at.host.faults.clear())

const members = async () => JSON.parse((await hostFile(at.host, '/var/lib/guests/etcd')) ?? '')
const names = async () => (await members()).map(({ name }: { name: string }) => name)
const entry = async (name: string) =>
  JSON.parse((await hostFile(at.host, `/var/lib/seeder/nodes/${name}.json`)) ?? '{}')
const env = (vmid: number) => hostFile(at.host, `/var/lib/guests/${vmid}.env`)
const snippet = (name: string) => hostFile(at.host, `/var/lib/vz/snippets/seeder-${name}.yaml`)

/** The commands in guests and the changes of VMs, in short. */
const steps = async () =>
  (await at.host.faults.calls()).flatMap((words) => {
    const text = words.join(' ')
    return /^qm (clone|destroy) /.test(text) ? [words.slice(0, 3).join(' ')] : []
  })

describe('replacing a member of etcd', { timeout: 120_000 }, () => {
  it('gives the new one a vote before it removes the old one', async () => {
    const { stdout, stderr } = await at.ok('replace', 'etcd1', '--with', 'etcd4', '--tls', at.tls)
    expect(stderr.split('\n').map((line) => line.trim())).toEqual([
      'etcd4: clone 206 of template 9001',
      'etcd4: has its place in the cluster of etcd2',
      'etcd4: start VM 206',
      'etcd4: ready: all is well',
      'etcd4: votes, and is well',
      'etcd1: is no member any more',
      'etcd1 is gone: VM 200, its disks and its vendor data',
      '',
    ])
    expect(stdout).toContain('etcd4 has replaced etcd1')
    expect(stdout).toContain('Give the API servers 10.0.0.132 in the place of etcd1: --etcd-servers.')
    expect(await names()).toEqual(['etcd2', 'etcd3', 'etcd4'])
    expect(await steps()).toEqual(['qm clone 9001', 'qm destroy 200'])
    expect(await snippet('etcd4')).toContain(
      'ETCD_MEMBERS="etcd1=10.0.0.129 etcd2=10.0.0.130 etcd3=10.0.0.131 etcd4=10.0.0.132"',
    )
    expect(await entry('etcd4')).toMatchObject({ state: 'created', joins: true })
    expect((await entry('etcd4')).replaces).toBeUndefined()
  })

  it('removes a dead one first', async () => {
    await must(at.host, ['qm', 'stop', '201'])
    const { stderr } = await at.ok('replace', 'etcd2', '--with', 'etcd5', '--tls', at.tls)
    expect(stderr).toMatch(/etcd2: does not answer, and is no member any more\n.*etcd5: has its place/)
    expect(await names()).toEqual(['etcd3', 'etcd4', 'etcd5'])
    expect((await at.host.configs()).has(201)).toBe(false)
  })

  it('keeps the address of a node that failed, and releases it when that is destroyed', async () => {
    await at.host.faults.set({
      kind: 'fail',
      when: 'before',
      status: 255,
      stderr: 'no',
      at: 1,
      match: '^qm cloudinit update 201',
    })
    expect(await at.refused('replace', 'etcd3', '--with', 'etcd6', '--tls', at.tls)).toContain(
      'qm start 201 failed',
    )
    expect(await entry('etcd6')).toMatchObject({
      state: 'starting',
      replaces: 'etcd3',
      addresses: { back: '10.0.0.130' },
    })
    expect(await members()).toHaveLength(4)
    await at.host.faults.clear()
    expect(await at.refused('replace', 'etcd4', '--with', 'etcd6', '--tls', at.tls)).toContain(
      'etcd6 exists already, and was not created to replace etcd4',
    )
    const { stderr } = await at.ok('destroy', 'etcd6')
    expect(stderr).toContain('etcd6 gave its place in the cluster back')
    expect(await names()).toEqual(['etcd3', 'etcd4', 'etcd5'])
  })

  it('is refused when no member of the cluster answers', async () => {
    const ids = await Promise.all(
      ['etcd3', 'etcd4', 'etcd5'].map(async (name) => String((await entry(name)).vmid)),
    )
    for (const id of ids) await must(at.host, ['qm', 'stop', id])
    expect(await at.refused('replace', 'etcd3', '--with', 'etcd6', '--tls', at.tls)).toContain(
      'etcd6 has no cluster to join: no member on this host answers',
    )
    for (const id of ids) await must(at.host, ['qm', 'start', id])
  })
})

describe('replacing a load balancer', { timeout: 120_000 }, () => {
  it('begins with the backup while both are behind', async () => {
    await makeTemplate(at.host, { vmid: 9102, image: 'haproxy', version: '3.0.12-1', disk: at.disk })
    const { vmid } = await entry('lb1')
    expect(await env(vmid)).toContain('VRRP_PRIORITY=150')
    expect(await at.refused('replace', 'lb1', '--with', 'lb3')).toContain(
      'lb1 holds the VIPs, and lb2 is behind the current template, too',
    )
  })

  it('updates the peers of the others, before it starts and when the old one is gone', async () => {
    const { vmid } = await entry('lb1')
    const { stderr } = await at.ok('replace', 'lb2', '--with', 'lb3')
    const lines = stderr.split('\n').map((line) => line.trim())
    const started = lines.findIndex((line) => line.startsWith('lb3: start VM'))
    expect(lines.indexOf('lb1: its peers are 10.0.0.106 10.0.0.107')).toBeGreaterThan(0)
    expect(lines.indexOf('lb1: its peers are 10.0.0.106 10.0.0.107')).toBeLessThan(started)
    expect(lines.indexOf('lb2: its peers are 10.0.0.105 10.0.0.107')).toBeLessThan(started)
    expect(lines.findIndex((line) => line.startsWith('lb2 is gone'))).toBeGreaterThan(started)
    expect(lines).toContain('lb1: its peers are 10.0.0.107')
    expect(lines).toContain('lb3: its peers are 10.0.0.105')
    expect(await env(vmid)).toContain('VRRP_PEERS=10.0.0.107\n')
    expect(await snippet('lb1')).toContain('VRRP_PEERS=10.0.0.107\n')
    const values = await snippet('lb3')
    for (const line of ['VRRP_PRIORITY=100', 'VRRP_PEERS=10.0.0.105', 'NTP_SERVERS=10.0.0.1']) {
      expect(values).toContain(`      ${line}\n`)
    }
    expect((await entry('lb3')).template).toEqual({ vmid: 9102, version: '3.0.12-1' })
  })

  it('replaces the one that has the VIPs last', async () => {
    await at.ok('replace', 'lb1', '--with', 'lb4')
    expect(await snippet('lb4')).toContain('VRRP_PRIORITY=150\n')
    expect((await at.ok('list')).stdout).not.toContain('lb1')
  })
})

describe('replacing a worker', { timeout: 120_000 }, () => {
  it('keeps the old one until it is drained', async () => {
    const first = await at.ok('replace', 'w1', '--with', 'w2')
    expect(first.stdout).toContain('kubectl drain w1 --ignore-daemonsets --delete-emptydir-data')
    expect(first.stdout).not.toContain('has replaced')
    expect(await entry('w2')).toMatchObject({
      state: 'created',
      replaces: 'w1',
      values: { KUBE_PROXY_MODE: 'nftables' },
    })
    expect((await entry('w1')).state).toBe('created')
    const { stdout } = await at.ok('replace', 'w1', '--with', 'w2', '--drained')
    expect(stdout).toContain('w2 has replaced w1')
    expect(await entry('w1')).toEqual({})
    expect((await entry('w2')).replaces).toBeUndefined()
  })

  it('is refused for a node that does not exist', async () => {
    expect(await at.refused('replace', 'w1', '--with', 'w5')).toContain(
      'w1 is no node that `seeder node` has made',
    )
    expect(await at.refused('replace', 'w2', '--with', 'lb4')).toContain('lb4 exists already')
    expect(await at.refused('replace', 'w2', '--with', 'W 3')).toContain('"W 3" is not a name for a node')
  })
})
