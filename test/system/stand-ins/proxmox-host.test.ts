import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { PveHost } from '../../stand-ins/proxmox/host.ts'

const mebibyte = 1024 ** 2
let folder: string
let host: PveHost
let image: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'pve-host-'))
  image = join(folder, 'x.qcow2')
  await writeFile(join(folder, 'x.raw'), Buffer.alloc(mebibyte, 'abc'))
  await qemuImg('resize', '-f', 'raw', join(folder, 'x.raw'), '8M')
  await qemuImg('convert', '-c', '-O', 'qcow2', join(folder, 'x.raw'), image)
  host = await PveHost.create(join(folder, 'the host, here'))
  await host.start()
})

afterAll(async () => {
  await host.remove()
  await rm(folder, { recursive: true })
})

beforeEach(async () => {
  if (!host.running) await host.start()
  await host.faults.clear()
  for (const vmid of (await host.configs()).keys()) {
    await qm('unlock', String(vmid))
    await qm('destroy', String(vmid), '--destroy-unreferenced-disks', '1')
  }
})

async function qemuImg(...argv: string[]): Promise<string> {
  return (await promisify(execFile)('qemu-img', argv)).stdout
}

function qm(...argv: string[]) {
  return host.run(['qm', ...argv])
}

function create(storage: string, ...more: string[]) {
  return qm('create', '9000', '--name', 't', '--scsi0', `${storage}:0,import-from=${image}`, ...more)
}

describe('a host', () => {
  test('has the name, bridges and files of a Proxmox VE host, and no program that it has not', async () => {
    const { stdout } = await host.run(['sh', '-c', 'hostname; ls /etc/pve/nodes; ls /sys/class/net; id -u'])
    expect(stdout.split('\n')).toEqual(expect.arrayContaining(['pve1', 'vmbr0', 'vmbr14', '0']))
    expect((await host.run(['sh', '-c', 'command -v node jq'])).stdout).toBe('')
    expect((await host.run(['ip', '-brief', 'address', 'show', 'vmbr0'])).stdout).toContain('192.168.3.61/24')
  })

  test('keeps only what is on disk over a power cut', async () => {
    await host.run(['sh', '-c', 'mkdir -p /var/lib/seeder /etc/seeder; echo kept > /var/lib/seeder/journal'])
    await host.run(['sh', '-c', 'echo lost > /run/lost; setsid sleep 1000 > /dev/null 2>&1 < /dev/null &'])
    expect((await host.run(['pgrep', '-x', 'sleep'])).code).toBe(0)
    await host.powerCut()
    expect(await readFile(host.path('/var/lib/seeder/journal'), 'utf8')).toBe('kept\n')
    await host.start()
    expect(await readFile(host.path('/var/lib/seeder/journal'), 'utf8')).toBe('kept\n')
    expect((await host.run(['ls', '/run/lost'])).code).toBe(2)
    expect((await host.run(['pgrep', '-x', 'sleep'])).code).toBe(1)
  })

  test('leaves the machine alone', async () => {
    await host.run(['sh', '-c', 'echo other > /etc/hostname.new; mv /etc/hostname.new /etc/hostname'])
    expect(await readFile('/etc/hostname', 'utf8')).not.toBe('other\n')
  })

  test('reports how a command ended', async () => {
    const result = await host.run(['sh', '-c', 'cat; echo "$A" >&2; exit 7'], {
      input: 'in',
      env: { A: 'b c' },
    })
    expect(result).toEqual({ code: 7, signal: undefined, stdout: 'in', stderr: 'b c\n' })
    expect(await host.run(['sleep', '100'], { timeoutMs: 200 })).toMatchObject({
      code: 137,
      signal: 'SIGKILL',
    })
  })

  test('releases a lock of the cluster on request when it was not touched for long', async () => {
    const [kept, old] = ['/etc/pve/priv/lock/kept', '/etc/pve/priv/lock/old']
    await host.run(['mkdir', kept, old])
    await host.run(['touch', '-d', '3 minutes ago', old])
    for (const lock of [kept, old]) await host.run(['touch', '-d', '@0', lock])
    const { stdout } = await host.run(['find', '/etc/pve/priv/lock', '-mindepth', '1', '-mmin', '-1'])
    expect(stdout).toBe(`${kept}\n`)
  })

  test('lists what its workers did', async () => {
    await create('local')
    await qm('create', '9001', '--scsi0', 'local:0,import-from=/nowhere.raw')
    const path = '/nodes/pve1/tasks'
    const { stdout } = await host.run(['pvesh', 'get', path, '--limit', '2', '--output-format', 'json'])
    expect(JSON.parse(stdout)).toMatchObject([
      {
        id: '9001',
        type: 'qmcreate',
        status: "unable to create VM 9001 - can't find file '/nowhere.raw'",
      },
      { id: '9000', type: 'qmcreate', status: 'OK', user: 'root@pam' },
    ])
  })

  test('gives VMs its own resolver where they have none, and writes no empty list', async () => {
    await qm('create', '900', '--net0', 'virtio,bridge=vmbr0', '--nameserver', '9.9.9.9 1.1.1.1')
    const dump = async () => (await qm('cloudinit', 'dump', '900', 'network')).stdout
    expect(await dump()).toContain(
      "address:\n      - '9.9.9.9'\n      - '1.1.1.1'\n      search:\n      - 'example.internal'\n",
    )
    const file = host.path('/etc/resolv.conf')
    const own = await readFile(file, 'utf8')
    await writeFile(file, 'nameserver 10.99.0.53\n')
    const without = await dump()
    expect(without).toContain('1.1.1.1')
    expect(without).not.toContain('search')
    await writeFile(file, own)
  })

  test('plugs cards with a tag into a network of their own, and refuses an MTU above the bridge’s', async () => {
    const net = (value: string) => qm('set', '900', '--net0', `virtio=BC:24:11:00:00:09,${value}`)
    await qm('create', '900', '--memory', '32')
    await net('bridge=vmbr99')
    expect(await qm('start', '900')).toMatchObject({ code: 255, stderr: "bridge 'vmbr99' does not exist\n" })
    await net('bridge=vmbr12,tag=20,mtu=1501')
    expect(await qm('start', '900')).toMatchObject({
      code: 255,
      stderr: "netdev net0: MTU '1501' is bigger than the bridge MTU '1500'\n",
    })
    await net('bridge=vmbr12,tag=20,mtu=1400,firewall=1')
    expect(await qm('start', '900')).toMatchObject({ code: 0 })
    const masters = await host.run(['readlink', '-f', '/sys/class/net/tap900i0/master'])
    expect(masters.stdout).toMatch(/\/vmbr12v20\n$/)
    const { stdout } = await host.run(['pgrep', '-af', 'qemu-system'])
    expect(stdout).toContain('host_mtu=1400')
    await qm('stop', '900')
  })

  test('is for root only', async () => {
    const { code, stderr } = await host.run(['setpriv', '--reuid=1', '--clear-groups', 'qm', 'list'])
    expect(stderr).toContain('Unable to load access control list')
    expect(code).toBe(255)
  })
})

describe.each([
  { storage: 'local', volume: '9000/vm-9000-disk-0.raw', base: '9000/base-9000-disk-0.raw' },
  { storage: 'local-lvm', volume: 'vm-9000-disk-0', base: 'base-9000-disk-0' },
  { storage: 'local-zfs', volume: 'vm-9000-disk-0', base: 'base-9000-disk-0' },
])('on $storage', ({ storage, volume, base }) => {
  test('an imported disk has the source’s content, and grows', async () => {
    expect(await create(storage)).toMatchObject({ code: 0, stderr: '' })
    expect((await host.configs()).get(9000)).toContain(`scsi0: ${storage}:${volume},size=8M\n`)
    const path = (await host.run(['pvesm', 'path', `${storage}:${volume}`])).stdout.trim()
    expect((await host.run(['cmp', join(folder, 'x.raw'), path])).code).toBe(0)
    await qm('disk', 'resize', '9000', 'scsi0', '1G')
    expect((await host.configs()).get(9000)).toContain('size=1G')
    expect((await host.run(['stat', '-c', '%s', path])).stdout).toBe(`${1024 * mebibyte}\n`)
  })

  test('a template has base volumes, and a linked clone that what it was made of shows', async () => {
    await create(storage)
    expect(await qm('template', '9000')).toMatchObject({ code: 0, stderr: '' })
    expect((await host.configs()).get(9000)).toContain(`scsi0: ${storage}:${base},size=8M\ns`)
    expect((await qm('clone', '9000', '101')).code).toBe(0)
    const destroyed = await qm('destroy', '9000')
    // Only a thin pool lets go of a base that clones were made of: their blocks stay.
    expect(destroyed.code).toBe(storage === 'local-lvm' ? 0 : 255)
    expect((await qm('destroy', '101')).code).toBe(0)
  })

  test('a removed VM leaves no volume', async () => {
    await create(storage, '--ide2', `${storage}:cloudinit`)
    await qm('destroy', '9000')
    expect((await host.run(['pvesm', 'list', storage])).stdout).not.toContain('9000')
  })
})

test('lvs and zfs show the origin of clones', async () => {
  await create('local-lvm', '--scsi1', 'local-zfs:1')
  await qm('template', '9000')
  await qm('clone', '9000', '101')
  const lvs = await host.run(['lvs', '--noheadings', '--separator', ':', '-o', 'lv_name,origin', 'pve'])
  expect(lvs.stdout).toContain('  vm-101-disk-0:base-9000-disk-0\n')
  const zfs = await host.run(['zfs', 'list', '-H', '-r', '-o', 'name,origin', 'rpool/data'])
  expect(zfs.stdout).toContain('rpool/data/vm-101-disk-0\trpool/data/base-9000-disk-0@__base__\n')
  expect((await host.configs()).get(101)).toContain('scsi1: local-zfs:base-9000-disk-0/vm-101-disk-0,size=1G')
})

describe('faults', () => {
  test('the n-th call that matches fails, without or after its work', async () => {
    const failure = { kind: 'fail', status: 5, stderr: 'broken', match: '^qm set' } as const
    await host.faults.set({ ...failure, when: 'before', at: 2 }, { ...failure, when: 'after', at: 3 })
    await qm('create', '9000')
    expect((await qm('set', '9000', '--cores', '1')).code).toBe(0)
    expect(await qm('set', '9000', '--cores', '2')).toMatchObject({ code: 5, stderr: 'broken\n', stdout: '' })
    expect((await host.configs()).get(9000)).toContain('cores: 1')
    expect(await qm('set', '9000', '--cores', '3')).toMatchObject({ code: 5, stderr: 'broken\n' })
    expect((await host.configs()).get(9000)).toContain('cores: 3')
    expect((await host.faults.calls())[1]).toEqual(['qm', 'set', '9000', '--cores', '1'])
  })

  test('the caller dies with the call; what a worker does is done', async () => {
    await host.faults.set({ kind: 'kill', when: 'middle', at: 1, match: '^qm create' })
    const script = `qm create 9000 --scsi0 local:0,import-from='${image}'; echo went on`
    const result = await host.run(['sh', '-c', script])
    expect(result).toMatchObject({ signal: 'SIGKILL' })
    expect(result.stdout).not.toContain('went on')
    expect((await host.configs()).get(9000)).toBe('lock: create\n')
    await expect
      .poll(async () => (await host.configs()).get(9000))
      .toContain('scsi0: local:9000/vm-9000-disk-0.raw')
  })

  test('a power cut in the middle of an import leaves a lock and half a disk', async () => {
    await host.faults.set({ kind: 'power-cut', when: 'middle', at: 1, match: '^qm create' })
    expect(await create('local')).toMatchObject({ signal: 'SIGKILL' })
    await host.waitForPowerCut()
    expect((await host.configs()).get(9000)).toBe('lock: create\n')
    await host.start()
    expect(
      (await host.run(['cmp', '-s', join(folder, 'x.raw'), '/var/lib/vz/images/9000/vm-9000-disk-0.raw']))
        .code,
    ).toBe(1)
    expect(await qm('destroy', '9000')).toMatchObject({ code: 255, stderr: 'VM is locked (create)\n' })
    await qm('unlock', '9000')
    await qm('destroy', '9000', '--destroy-unreferenced-disks', '1')
    expect((await host.run(['ls', '/var/lib/vz/images/9000'])).code).toBe(2)
  })

  test('a full storage, and a bit that flips on the way', async () => {
    await host.faults.set(
      { kind: 'no-space', at: 1, match: '^qm create' },
      { kind: 'corrupt', offset: 4711, at: 2, match: '^qm create' },
    )
    const full = await create('local')
    expect(full.stdout).toContain('No space left on device')
    expect(full.stderr).toMatch(/^unable to create VM 9000 - copy failed: command .* failed: exit code 1\n$/)
    expect((await host.configs()).size).toBe(0)
    await create('local')
    const compared = await host.run([
      'cmp',
      join(folder, 'x.raw'),
      '/var/lib/vz/images/9000/vm-9000-disk-0.raw',
    ])
    expect(compared.stdout).toContain('byte 4712,')
  })

  test('another VM, another process and a storage come and go in between', async () => {
    await host.faults.set(
      { kind: 'foreign-vm', vmid: 9000, config: 'name: foreign\n', at: 1, match: '^qm create' },
      { kind: 'hold-lock', vmid: 9000, seconds: 1, at: 1, match: '^qm set' },
      { kind: 'storage-gone', storage: 'local', at: 1, match: '^pvesm path' },
    )
    expect((await create('local')).stderr).toBe(
      "unable to create VM 9000 - VM 9000 already exists on node 'pve1'\n",
    )
    expect((await host.configs()).get(9000)).toBe('name: foreign\n')
    const waited = await qm('set', '9000', '--name', 'x')
    expect(waited).toMatchObject({ code: 0, stderr: 'trying to acquire lock...\n OK\n' })
    await host.run(['pvesm', 'path', 'local:iso/x.iso'])
    expect((await host.run(['pvesm', 'status', '--storage', 'local'])).stdout).toContain('inactive')
    expect((await host.run(['pvesm', 'list', 'local'])).code).toBe(255)
  })
})
