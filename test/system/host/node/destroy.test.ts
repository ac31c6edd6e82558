import { existsSync } from 'node:fs'
import { rename, writeFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type NodeHost, nodeHost } from '../../../support/nodes/fixture.ts'
import { hostState, seederNode } from '../../../support/nodes/host.ts'
import { hostFile, must } from '../../../support/nodes/template.ts'
import { checkout } from '../../../support/seeder.ts'

let at: NodeHost
beforeAll(async () => {
  at = await nodeHost('destroy', ['pve1', 'pve2'])
  await at.ok('create', 'w1', 'w2', 'w3', '--role', 'worker', '--no-start')
  await at.ok('create', 'etcd1', 'etcd2', '--role', 'etcd', '--new-cluster', '--tls', at.tls)
}, 240_000)
afterAll(() => at.dispose())
beforeEach(() => at.host.faults.clear())

const config = (vmid: number, node = 'pve1') =>
  at.host.path(`/etc/pve/nodes/${node}/qemu-server/${vmid}.conf`)
const edited = async (vmid: number, change: (text: string) => string) => {
  const text = (await at.host.configs()).get(vmid) ?? ''
  await writeFile(config(vmid), change(text))
  return () => writeFile(config(vmid), text)
}

describe('seeder node destroy', { timeout: 120_000 }, () => {
  it('refuses VMs that it did not make, or that are not its own any more', async () => {
    await must(at.host, ['qm', 'create', '500', '--name', 'foreign', '--tags', 'seeder;node'])
    const before = await hostState(at.host)
    expect(await at.refused('destroy', 'foreign')).toContain(
      'foreign is no node that `seeder node` has made on this host',
    )
    for (const change of [
      (text: string) => text.replace(/^#seeder-node.*\n/m, ''),
      (text: string) => text.replace('tags: node;seeder;worker', 'tags: seeder;worker'),
    ]) {
      const undo = await edited(200, change)
      expect(await at.refused('destroy', 'w1', '--force')).toContain('VM 200 is not w1 (any more)')
      await undo()
    }
    expect(await hostState(at.host)).toEqual(before)
  })

  it('refuses one that has moved to another Proxmox node', async () => {
    await rename(config(200), config(200, 'pve2'))
    expect(await at.refused('destroy', 'w1')).toContain('w1 (VM 200) is on pve2, not on pve1')
    expect((await at.ok('list')).stdout).toMatch(/^w1 .* on pve2$/m)
    await rename(config(200, 'pve2'), config(200))
  })

  it('does not destroy a copy of a node', async () => {
    await must(at.host, ['qm', 'clone', '200', '501', '--name', 'copy'])
    await at.ok('destroy', 'w1')
    expect([...(await at.host.configs()).keys()]).toEqual(expect.arrayContaining([501]))
    expect((await at.host.configs()).has(200)).toBe(false)
    await must(at.host, ['qm', 'destroy', '501'])
  })

  it('refuses one that runs, unless it is forced to', async () => {
    await must(at.host, ['qm', 'start', '201'])
    expect(await at.refused('destroy', 'w3', 'w2')).toContain('w2 (VM 201) runs')
    expect(existsSync(at.host.path('/var/lib/seeder/nodes/w3.json'))).toBe(true)
    // Somebody else's, on a storage that has nothing of the node's.
    await must(at.host, ['pvesm', 'alloc', 'local-zfs', '201', 'vm-201-disk-7', '1M'])
    await at.ok('destroy', 'w2', '--force')
    expect((await at.host.configs()).has(201)).toBe(false)
    expect((await at.host.faults.calls()).map((words) => words.join(' '))).toContain(
      'qm destroy 201 --purge 1',
    )
    const { volumes } = await hostState(at.host)
    expect(volumes.filter((volume) => volume.includes('vm-201-'))).toEqual([
      expect.stringMatching(/^local-zfs:vm-201-disk-7/),
    ])
    await must(at.host, ['pvesm', 'free', 'local-zfs:vm-201-disk-7'])
  })

  it('removes a protection', async () => {
    await must(at.host, ['qm', 'set', '202', '--protection', '1'])
    await at.ok('destroy', 'w3')
    expect((await at.host.configs()).has(202)).toBe(false)
  })

  it('cleans up after a VM that was destroyed by hand', async () => {
    await at.ok('create', 'w4', '--role', 'worker', '--no-start')
    await must(at.host, ['qm', 'destroy', '200'])
    expect((await at.ok('list')).stdout).toMatch(/^w4 .* its VM is gone$/m)
    await at.ok('destroy', 'w4')
    expect(existsSync(at.host.path('/var/lib/seeder/nodes/w4.json'))).toBe(false)
    expect(existsSync(at.host.path('/var/lib/vz/snippets/seeder-w4.yaml'))).toBe(false)
  })

  it('refuses a member that its cluster counts on, and a part of a cluster', async () => {
    expect(await at.refused('destroy', 'etcd1', '--force')).toContain(
      'etcd1 is a member of its cluster of etcd still (follower)',
    )
    for (const vmid of ['203', '204']) await must(at.host, ['qm', 'stop', vmid])
    expect(await at.refused('destroy', 'etcd1')).toContain('Whether etcd1 can be spared is not known')
    for (const vmid of ['203', '204']) await must(at.host, ['qm', 'start', vmid])
    await at.ok('destroy', 'etcd1', 'etcd2', '--force')
    const { entries, snippets, configs, volumes } = await hostState(at.host)
    expect([entries, snippets]).toEqual([{}, {}])
    expect(Object.keys(configs)).toEqual(['500', '9001', '9002', '9003'])
    expect(volumes.filter((volume) => !/\/(base|vm)-900\d-/.test(volume))).toEqual([])
  })
})

describe('a run that is killed while its `qm` goes on', { timeout: 120_000 }, () => {
  it('is waited for by the next one, which then undoes it', async () => {
    const before = await hostState(at.host)
    // The clone takes a while after the death of the run that started it.
    const own = (await hostFile(at.host, '/usr/sbin/qm')) ?? ''
    const slow = 'case "$*" in "clone 9003"*) sleep 6;; esac\n'
    await writeFile(at.host.path('/usr/sbin/qm'), own.replace('unset', `${slow}unset`))
    const script = [
      'setsid "$@" & run=$!',
      `until grep -qs '"cloned": true' /var/lib/seeder/nodes/w5.json; do sleep 0.1; done`,
      'sleep 1',
      'kill -KILL $run',
    ]
    const argv = ['node', 'create', 'w5', '--role', 'worker', '--no-start']
    const program = [process.execPath, `${checkout}/src/cli.ts`, '-C', checkout, ...argv]
    await at.host.run(['bash', '-uc', script.join('\n'), 'killer', ...program])
    const entry = JSON.parse((await hostFile(at.host, '/var/lib/seeder/nodes/w5.json')) ?? '')
    expect(entry).toMatchObject({ state: 'creating', cloned: true })
    expect(await at.refused('destroy', 'w9')).toContain(
      'Another run of `seeder node` is at work on this host',
    )
    await writeFile(at.host.path('/usr/sbin/qm'), own)
    let said = ''
    do {
      await sleep(1000)
      said = (await seederNode(at.host, ['destroy', 'w9'])).stderr
    } while (said.includes('Another run'))
    expect(said).toContain('an earlier run was cut short: undid what it had made of w5 (VM 200)')
    expect(await hostState(at.host)).toEqual(before)
  })

  it('is stopped by Ctrl-C, and leaves nothing', async () => {
    const before = await hostState(at.host)
    const script = [
      'set -m; "$@" & run=$!',
      'until [ -e /etc/pve/qemu-server/200.conf ]; do sleep 0.1; done',
      'kill -INT -- -$run',
      'wait $run',
    ]
    const argv = ['node', 'create', 'w5', 'w6', '--role', 'worker', '--no-start']
    const program = [process.execPath, `${checkout}/src/cli.ts`, '-C', checkout, ...argv]
    const { code, stderr } = await at.host.run(['bash', '-uc', script.join('\n'), 'stopper', ...program])
    expect([code, stderr]).toEqual([130, expect.stringContaining('seeder: stopped; nothing was left behind')])
    expect(await hostState(at.host)).toEqual(before)
  })
})
