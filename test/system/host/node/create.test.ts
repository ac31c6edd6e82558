import { mkdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { parseGuest, tagsOf } from '../../../../src/host/guests.ts'
import { type NodeHost, nodeHost } from '../../../support/nodes/fixture.ts'
import { hostState, seederNode } from '../../../support/nodes/host.ts'
import { hostFile, makeTemplate, must } from '../../../support/nodes/template.ts'
import { published } from '../../../support/schemas.ts'
import { checkout } from '../../../support/seeder.ts'

/** `seeder node` as a program on a stand-in host, one after the other. */
let at: NodeHost
beforeAll(async () => {
  at = await nodeHost('create', ['pve1', 'pve2'])
}, 120_000)
afterAll(() => at.dispose())
beforeEach(() => at.host.faults.clear())

const guestOf = async (vmid: number) =>
  parseGuest((await at.host.configs()).get(vmid) ?? '', { vmid, kind: 'qemu', node: 'pve1' })

/** Commands that were run, without those that only read. */
const changes = async () =>
  (await at.host.faults.calls()).filter(
    ([program, verb = '']) => program === 'qm' && !['status', 'guest', 'config', 'list'].includes(verb),
  )

describe('seeder node create', { timeout: 120_000 }, () => {
  it('does exactly what plan prints, and plan does nothing', async () => {
    const argv = ['w1', '--role', 'worker', '--vmid-range', '300', '--no-start']
    const before = await hostState(at.host)
    const plans = JSON.parse((await at.ok('plan', ...argv, '--json')).stdout)
    const [shown] = await published('printed/node-plan', plans)
    expect(await hostState(at.host)).toEqual(before)
    await at.host.faults.clear()
    await at.ok('create', ...argv)
    const random = (text: string) => text.replaceAll(/[0-9a-f]{32}/g, 'TOKEN')
    const plain = (commands: string[][]) => commands.map((words) => words.map(random))
    expect(plain(await changes())).toEqual(plain(shown.commands))
    expect(random((await hostFile(at.host, shown.file.path)) ?? '')).toBe(random(shown.file.content))
    expect(((await stat(at.host.path(shown.file.path))).mode & 0o777).toString(8)).toBe('600')
    const guest = await guestOf(300)
    expect(Object.fromEntries(guest.settings)).toMatchObject({
      name: 'w1',
      cores: '4',
      memory: '8192',
      ipconfig0: 'ip=10.0.0.75/26',
      nameserver: '9.9.9.9 149.112.112.112',
      cicustom: 'vendor=local:snippets/seeder-w1.yaml',
      net0: expect.stringMatching(/^virtio=BC:24:11:.*,bridge=vmbr12,firewall=1$/),
      scsi0: expect.stringMatching(/^local:9003\/base-9003-disk-1\.raw\/300\/.*size=80G$/),
      onboot: '1',
    })
    expect(tagsOf(guest)).toEqual(new Set(['seeder', 'node', 'worker']))
  })

  it('has nothing to do when it runs again', async () => {
    const before = await hostState(at.host)
    const { stderr } = await at.ok('create', 'w1', '--role', 'worker', '--no-start')
    expect(stderr).toContain('w1 exists already, as VM 300: nothing is changed')
    expect(await changes()).toEqual([])
    expect(await hostState(at.host)).toEqual(before)
  })

  it('makes, starts and awaits a whole cluster of etcd with disks of its own', async () => {
    const { stdout } = await at.ok(
      'create',
      'etcd1',
      'etcd2',
      '--role',
      'etcd',
      '--new-cluster',
      '--tls',
      at.tls,
      '--data-disk',
      '1',
      '--full',
      '--storage',
      'local-lvm',
    )
    expect(stdout).toBe(
      'etcd1: etcd, VM 200, 10.0.0.129: all is well\netcd2: etcd, VM 201, 10.0.0.130: all is well\n',
    )
    const settings = Object.fromEntries((await guestOf(200)).settings)
    expect(settings.scsi0).toMatch(/^local-lvm:vm-200-disk-\d,.*size=20G$/)
    expect(settings.scsi1).toMatch(/^local-lvm:vm-200-disk-\d,.*size=1G$/)
    const entry = JSON.parse((await hostFile(at.host, '/var/lib/seeder/nodes/etcd1.json')) ?? '')
    expect(entry).toMatchObject({
      state: 'created',
      vmid: 200,
      addresses: { back: '10.0.0.129' },
      joins: false,
    })
    expect(entry.founders).toBeUndefined()
    const snippet = await hostFile(at.host, '/var/lib/vz/snippets/seeder-etcd2.yaml')
    expect(snippet).toContain('ETCD_MEMBERS="etcd1=10.0.0.129 etcd2=10.0.0.130"')
    expect(snippet).toContain('ETCD_DATA_DISK=etcd-data')
  })

  it('adds another member, with a vote', async () => {
    const made = await at.ok('create', 'etcd3', '--role', 'etcd', '--tls', at.tls, '--json')
    expect(await published('printed/node-create', JSON.parse(made.stdout))).toEqual([
      {
        name: 'etcd3',
        role: 'etcd',
        vmid: 202,
        addresses: { back: '10.0.0.131' },
        version: '3.7.2-1',
        status: 'all is well',
      },
    ])
    const members = JSON.parse((await hostFile(at.host, '/var/lib/guests/etcd')) ?? '')
    expect(members.at(-1)).toEqual({ name: 'etcd3', address: '10.0.0.131', learner: false, started: true })
    expect(await at.refused('create', 'etcd4', '--role', 'etcd', '--tls', at.tls, '--no-start')).toContain(
      'etcd4 cannot be made without being started',
    )
  })

  it('lists them, and which are behind the current template', async () => {
    await makeTemplate(at.host, { vmid: 9101, image: 'etcd', version: '3.7.3-1', disk: at.disk })
    const rows = await published('printed/node-list', JSON.parse((await at.ok('list', '--json')).stdout))
    expect(rows[0]).toEqual({
      name: 'etcd1',
      role: 'etcd',
      vmid: 200,
      addresses: { back: '10.0.0.129' },
      version: '3.7.2-1',
      current: '3.7.3-1',
      behind: true,
      state: 'stopped',
    })
    const { stdout } = await at.ok('list')
    expect(stdout).toMatch(/^etcd1 +etcd +200 +10\.0\.0\.129 +3\.7\.2-1 \(current: 3\.7\.3-1\) +/m)
    expect(stdout).toMatch(/^w1 +worker +300 +10\.0\.0\.75 +1\.37\.1-1 +stopped$/m)
  })

  it('never assigns an address or an id in use on any node of the cluster', async () => {
    await must(at.host, ['mkdir', '-p', '/etc/pve/nodes/pve2/lxc'])
    const container = 'hostname: c\nnet0: name=eth0,bridge=vmbr12,ip=10.0.0.76/26\n'
    await writeFile(at.host.path('/etc/pve/nodes/pve2/lxc/202.conf'), container)
    await writeFile(at.host.path('/etc/pve/nodes/pve2/qemu-server/203.conf'), 'ipconfig0: ip=10.0.0.77/26\n')
    await must(at.host, ['pvesm', 'alloc', 'local', '204', 'vm-204-disk-7.raw', '1M', '--format', 'raw'])
    // A machine that no configuration knows, on the zone's bridge.
    const otherMachine = [
      'ip link add lan0 type veth peer name other0',
      'ip link set lan0 master vmbr12 up',
      'ip netns add other0',
      'ip link set other0 netns other0',
      'ip -n other0 address add 10.0.0.78/26 dev other0',
      'ip -n other0 link set other0 up',
    ]
    await must(at.host, ['bash', '-euc', otherMachine.join('; ')])
    const { stdout } = await at.ok('create', 'w2', '--role', 'worker', '--no-start')
    expect(stdout).toBe('w2: worker, VM 205, 10.0.0.79\n')
    // As half a minute later: the host remembers the other machine, but not for sure.
    await must(at.host, ['ip', 'neighbour', 'change', '10.0.0.78', 'dev', 'vmbr12', 'nud', 'stale'])
    const [shown] = JSON.parse((await at.ok('plan', 'w3', '--role', 'worker', '--json')).stdout)
    expect(shown.addresses).toEqual({ middle: '10.0.0.80' })
  })

  it('gives a node the tag and MTU of its zone, and searches the VLAN for other machines', async () => {
    const text = await readFile(join(checkout, 'platform.yaml'), 'utf8')
    const tagged = join(at.root, 'tagged.yaml')
    await writeFile(tagged, text.replace('bridge: vmbr12', 'bridge: vmbr0\n    vlan: 20\n    mtu: 1400'))
    const argv = ['t1', '--role', 'worker', '--vmid-range', '400', '--platform', tagged]
    // The machine with 10.0.0.78 is not in this VLAN; 10.0.0.76, 77 and 79 are of guests.
    const { stdout } = await at.ok('plan', ...argv)
    expect(stdout).toContain('this host has no interface in VLAN 20 of vmbr0')
    expect(stdout).toContain('10.0.0.78 (middle)')
    // As Proxmox VE does for the first VM with this tag, where vmbr0 is not VLAN-aware.
    const machineInVlan = [
      'ip link add vmbr0v20 type bridge',
      'ip link set vmbr0v20 up',
      'ip link add lan1 type veth peer name other1',
      'ip link set lan1 master vmbr0v20 up',
      'ip netns add other1',
      'ip link set other1 netns other1',
      'ip -n other1 address add 10.0.0.80/26 dev other1',
      'ip -n other1 link set other1 up',
    ]
    await must(at.host, ['bash', '-euc', machineInVlan.join('; ')])
    const made = await at.ok('create', 't1', 't2', ...argv.slice(1, 3), '--platform', tagged, '--no-start')
    expect(made.stderr).not.toContain('VLAN')
    expect(made.stdout).toMatch(/^t1: worker, VM \d+, 10\.0\.0\.78\nt2: worker, VM \d+, 10\.0\.0\.81\n$/)
    const vmid = Number(/VM (\d+)/.exec(made.stdout)?.[1])
    expect((await guestOf(vmid)).settings.get('net0')).toMatch(
      /^virtio=BC:24:11:.*,bridge=vmbr0,firewall=1,mtu=1400,tag=20$/,
    )
    for (const name of ['t1', 't2']) await at.ok('destroy', name)
  })

  it('is undone when a command fails, half-way or at its end', async () => {
    const before = await hostState(at.host)
    const no = (match: string) =>
      at.host.faults.set({ kind: 'fail', when: 'after', status: 255, stderr: 'no', at: 1, match })
    for (const match of ['^qm clone', '^qm set', '^qm disk resize']) {
      await no(match)
      expect(await at.refused('create', 'w3', '--role', 'worker')).toMatch(/failed: no/)
      expect(await hostState(at.host), match).toEqual(before)
    }
    await at.host.faults.set({ kind: 'no-space', at: 1, match: '^qm clone' })
    expect(await at.refused('create', 'w3', '--role', 'worker', '--full')).toMatch(
      /qm clone 9003 206 failed: .*\(qemu-img: .*No space left on device\)/,
    )
    expect(await hostState(at.host)).toEqual(before)
  })

  it('removes a disk that an interrupted clone has left without a configuration', async () => {
    const before = await hostState(at.host)
    const own = (await hostFile(at.host, '/usr/sbin/qm')) ?? ''
    const left = 'pvesm alloc local 206 vm-206-cloudinit.qcow2 4M --format qcow2 >&2'
    const clone = `case "$*" in "clone "*) ${left}; echo "clone failed: interrupted by signal" >&2; exit 255;; esac\n`
    await writeFile(at.host.path('/usr/sbin/qm'), own.replace('unset', `${clone}unset`))
    expect(await at.refused('create', 'w3', '--role', 'worker')).toContain('interrupted by signal')
    await writeFile(at.host.path('/usr/sbin/qm'), own)
    expect(await hostState(at.host)).toEqual(before)
  })

  it('notices a command that fails with exit status 0', async () => {
    const before = await hostState(at.host)
    const lie = '#!/bin/sh\ncase "$*" in "disk resize"*) echo "could not resize" >&2; exit 0;; esac\n'
    const qm = at.host.path('/usr/sbin/qm')
    const own = (await hostFile(at.host, '/usr/sbin/qm')) ?? ''
    await writeFile(qm, own.replace('#!/bin/sh\n', lie))
    expect(await at.refused('create', 'w3', '--role', 'worker')).toContain('failed: could not resize')
    await writeFile(qm, own)
    expect(await hostState(at.host)).toEqual(before)
  })

  it('leaves a VM alone that took its id in the meantime', async () => {
    const config = 'name: foreign\nmemory: 512\n'
    await at.host.faults.set({ kind: 'foreign-vm', vmid: 206, config, at: 1, match: '^qm clone' })
    const said = await at.refused('create', 'w3', '--role', 'worker')
    expect(said).toContain('config file already exists')
    expect((await at.host.configs()).get(206)).toBe(config)
    expect(await hostFile(at.host, '/var/lib/seeder/nodes/w3.json')).toBeUndefined()
    await at.host.faults.clear()
    await at.ok('create', 'w3', '--role', 'worker', '--no-start')
    expect((await guestOf(207)).settings.get('name')).toBe('w3')
    await must(at.host, ['qm', 'destroy', '206'])
  })

  it('does not overwrite vendor data of others', async () => {
    await writeFile(at.host.path('/var/lib/vz/snippets/seeder-w4.yaml'), '#cloud-config\n')
    expect(await at.refused('create', 'w4', '--role', 'worker')).toContain(
      'seeder-w4.yaml exists already, and was not written for w4',
    )
    expect(await hostFile(at.host, '/var/lib/vz/snippets/seeder-w4.yaml')).toBe('#cloud-config\n')
  })

  it('refuses requests that make no sense', async () => {
    const worker = ['--role', 'worker']
    expect(await at.refused('create', '; reboot', ...worker)).toContain('"; reboot" is not a name for a node')
    expect(await at.refused('create', 'etcd1', ...worker)).toContain('etcd1 exists already, as etcd')
    expect(await at.refused('create', 'w9', ...worker, '--snippets', 'iso-only')).toContain(
      'iso-only holds no snippets on this host',
    )
    expect(await at.refused('create', 'w9', ...worker, '--set', 'NODE=$(reboot)')).toContain(
      'NODE: is not a key',
    )
    expect(await at.refused('create', 'etcd9', '--role', 'etcd', '--tls', at.root)).toContain(
      'etcd9.crt cannot be read',
    )
    expect(await at.refused('create', 'w9', '--role', 'master')).toContain('Use one of haproxy, etcd')
  })

  it('waits for the first boot, and goes on waiting when it is run again', async () => {
    const guests = join(checkout, 'test/support/nodes/guests.ts')
    const own = (await hostFile(at.host, '/usr/sbin/qm')) ?? ''
    expect(own).toContain(guests)
    const answer = (state: string) =>
      `case "$*" in "guest exec"*status) echo '{"exitcode":2,"exited":1,"out-data":"{\\"state\\":\\"${state}\\",\\"reason\\":\\"kernel panic\\"}"}'; exit 0;; esac\n`
    await writeFile(at.host.path('/usr/sbin/qm'), own.replace('unset', `${answer('pending')}unset`))
    expect(await at.refused('create', 'w5', '--role', 'worker', '--wait', '1')).toContain(
      'w5 (VM 206) runs, but is not ready after 1 seconds: kernel panic',
    )
    expect(
      JSON.parse((await at.ok('list', '--json')).stdout).find((row: { name: string }) => row.name === 'w5')
        .state,
    ).toContain('not ready yet')
    await writeFile(at.host.path('/usr/sbin/qm'), own.replace('unset', `${answer('failed')}unset`))
    expect(await at.refused('create', 'w5', '--role', 'worker')).toContain(
      'its first boot failed: kernel panic',
    )
    await writeFile(at.host.path('/usr/sbin/qm'), own)
    const { stdout, stderr } = await at.ok('create', 'w5', '--role', 'worker')
    expect(stderr).toContain('w5 was created by an earlier run, as VM 206, and is not ready yet')
    expect(stdout).toBe('w5: worker, VM 206, 10.0.0.81: all is well\n')
  })

  it('is run by root, on a Proxmox VE host, one at a time', async () => {
    const script = 'exec 9>>/run/lock/seeder-node.lock; flock 9; "$@"'
    const { code, stderr } = await at.host.run([
      'bash',
      '-uc',
      script,
      'holder',
      process.execPath,
      join(checkout, 'src/cli.ts'),
      '-C',
      checkout,
      'node',
      'create',
      'w6',
      '--role',
      'worker',
    ])
    expect([code, stderr]).toEqual([
      1,
      expect.stringContaining('Another run of `seeder node` is at work on this host'),
    ])
    await mkdir(join(at.root, 'elsewhere'))
    const nobody = await at.host.run([
      'setpriv',
      '--reuid=65534',
      '--clear-groups',
      process.execPath,
      join(checkout, 'src/cli.ts'),
      'node',
      'list',
    ])
    expect([nobody.code, nobody.stderr]).toEqual([2, expect.stringContaining('has to be run by root')])
    expect((await seederNode(at.host, ['list'], {})).code).toBe(0)
  })
})
