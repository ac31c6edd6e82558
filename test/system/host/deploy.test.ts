import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { parsePlatform } from '../../../src/platform/load.ts'
import type { PveHost } from '../../stand-ins/proxmox/host.ts'
import { testFolder } from '../../support/builds.ts'
import { configsOf, deploy, inventory, mustDeploy, startHost, tagged } from '../../support/deploy/host.ts'
import { makeSmallImage, type SmallImage } from '../../support/deploy/image.ts'
import { checkout } from '../../support/seeder.ts'

/** deploy.sh on a stand-in host, with disks that nothing boots from. */
const root = await testFolder('deploy')
let images: SmallImage[]
let host: PveHost
let count = 0

beforeAll(async () => {
  images = await Promise.all(
    ['3.0.11-1', '3.0.11-2', '3.0.12-1', '3.0.13-1'].map((version) =>
      makeSmallImage(join(root, `haproxy ${version}`), { version }),
    ),
  )
})
beforeEach(async () => {
  host = await startHost(join(root, `host-${count++}`))
  return () => host.remove()
})
afterAll(() => rm(root, { recursive: true, force: true }))

const folder = (index: number) => images[index]?.folder ?? ''

test('makes the template that the documentation describes, and leaves it alone the second time', async () => {
  const { stdout, stderr } = await mustDeploy(host, ['--storage', 'local', '--json', folder(0)])
  const manifest = images[0]?.manifest
  expect(JSON.parse(stdout)).toEqual({
    templates: [
      {
        image: 'haproxy',
        version: '3.0.11-1',
        vmid: 9000,
        node: 'pve1',
        storage: 'local',
        sha256: manifest?.raw.sha256,
        changed: true,
        previous: null,
      },
    ],
  })
  expect(stderr).toContain('haproxy 3.0.11-1 is template 9000')
  const config = (await configsOf(host)).get(9000)
  expect(config).toMatchObject({
    name: 'haproxy-3.0.11-1',
    tags: 'current;haproxy;seeder',
    template: '1',
    ostype: 'l26',
    onboot: '0',
    tablet: '0',
    bios: 'ovmf',
    machine: 'q35',
    cpu: 'x86-64-v2-AES',
    cores: '2',
    memory: '1024',
    scsihw: 'virtio-scsi-single',
    ciupgrade: '0',
    boot: 'order=scsi0',
    serial0: 'socket',
    vga: 'serial0',
    agent: 'enabled=1',
    rng0: 'source=/dev/urandom',
    scsi0: expect.stringMatching(/^local:9000\/base-9000-disk-\d\.raw,discard=on,iothread=1,size=8G,ssd=1$/),
    efidisk0: expect.stringMatching(
      /^local:9000\/base-9000-disk-\d\.raw,efitype=4m,pre-enrolled-keys=0,size=528K$/,
    ),
    ide2: 'local:9000/vm-9000-cloudinit.qcow2,media=cdrom',
  })
  const bridges = ['net0', 'net1', 'net2', 'net3', 'net4'].map((key) =>
    config?.[key]?.replace(/=BC[^,]*/, ''),
  )
  expect(bridges).toEqual([
    'virtio,bridge=vmbr11,firewall=1',
    'virtio,bridge=vmbr12,firewall=1',
    'virtio,bridge=vmbr0,firewall=1',
    'virtio,bridge=vmbr1,firewall=1',
    undefined,
  ])
  for (const part of [manifest?.raw.sha256, manifest?.usr.roothash, manifest?.source.commit, '3.0.11-1']) {
    expect(config?.description).toContain(part)
  }
  const before = await inventory(host)
  const again = await mustDeploy(host, ['--storage', 'local', '--json', folder(0)])
  expect(again.stderr).toContain('haproxy 3.0.11-1 is deployed already: template 9000')
  expect(JSON.parse(again.stdout).templates[0]).toMatchObject({ vmid: 9000, changed: false })
  expect(await inventory(host)).toBe(before)
})

test('a template’s cards have the tags and MTUs of their zones', async () => {
  const text = await readFile(join(checkout, 'platform.yaml'), 'utf8')
  const platform = parsePlatform(
    text
      .replace('bridge: vmbr11', 'bridge: vmbr0\n    vlan: 20\n    mtu: 1400')
      .replace('bridge: vmbr12', 'bridge: vmbr0\n    vlan: 30'),
    'platform.yaml',
  )
  const tagged = await makeSmallImage(join(root, 'tagged'), { platform })
  const plan = await mustDeploy(host, ['--storage', 'local', '--dry-run', tagged.folder])
  expect(plan.stderr).toContain('virtio,bridge=vmbr0,tag=20,mtu=1400,firewall=1')
  await mustDeploy(host, ['--storage', 'local', tagged.folder])
  const config = (await configsOf(host)).get(9000)
  // In the order that Proxmox VE keeps.
  expect(['net0', 'net1', 'net2', 'net3'].map((key) => config?.[key]?.replace(/=BC[^,]*/, ''))).toEqual([
    'virtio,bridge=vmbr0,firewall=1,mtu=1400,tag=20',
    'virtio,bridge=vmbr0,firewall=1,tag=30',
    'virtio,bridge=vmbr0,firewall=1',
    'virtio,bridge=vmbr1,firewall=1',
  ])
})

test.each(['local-lvm', 'local-zfs'])('works on %s', async (storage) => {
  await mustDeploy(host, ['--storage', storage, folder(0)])
  await mustDeploy(host, ['--storage', storage, folder(1)])
  expect(await tagged(host, 'current')).toEqual([9001])
  const config = (await configsOf(host)).get(9001)
  expect(config?.scsi0).toMatch(
    new RegExp(`^${storage}:base-9001-disk-\\d,discard=on,iothread=1,size=8G,ssd=1$`),
  )
})

test('the newest three stay, the tag moves with each, and rolling back moves it back', async () => {
  for (const index of [0, 1, 2, 3]) await mustDeploy(host, ['--storage', 'local', folder(index)])
  expect([...(await configsOf(host)).keys()]).toEqual([9001, 9002, 9003])
  expect(await tagged(host, 'current')).toEqual([9003])
  const back = await mustDeploy(host, ['--rollback', 'haproxy'])
  expect(back.stderr).toContain(
    'From haproxy 3.0.13-1 (template 9003) back to haproxy 3.0.12-1 (template 9002)',
  )
  expect(await tagged(host, 'current')).toEqual([9002])
  await mustDeploy(host, ['--rollback', 'haproxy', '3.0.11-2'])
  expect(await tagged(host, 'current')).toEqual([9001])
  const list = JSON.parse((await mustDeploy(host, ['--list', '--json'])).stdout)
  expect(list.templates.map(({ version, current }: Record<string, unknown>) => [version, current])).toEqual([
    ['3.0.11-2', true],
    ['3.0.12-1', false],
    ['3.0.13-1', false],
  ])
  const again = await mustDeploy(host, ['--storage', 'local', folder(3)])
  expect(again.stderr).toContain('is here as template 9003; it becomes the current one')
  expect(await tagged(host, 'current')).toEqual([9003])
  const none = await deploy(host, ['--rollback', 'haproxy', '1.0.0-1'])
  expect([none.code, none.stderr]).toEqual([
    1,
    expect.stringContaining('there is no 1.0.0-1 template of haproxy'),
  ])
})

test.each(['local', 'local-lvm', 'local-zfs'])(
  'a template on %s that a linked clone stands on is not retired, on whatever node the clone is',
  async (storage) => {
    await mustDeploy(host, ['--storage', storage, folder(0)])
    expect((await host.run(['qm', 'clone', '9000', '120', '--name', 'lb1'])).code).toBe(0)
    await mustDeploy(host, ['--storage', storage, folder(1)])
    const retired = await mustDeploy(host, ['--retire', '--keep', '1'])
    expect(retired.stderr).toContain(
      'haproxy 3.0.11-1 (template 9000) is kept: VM 120 is a linked clone of it',
    )
    expect((await configsOf(host)).has(9000)).toBe(true)
    await host.run(['qm', 'destroy', '120'])
    await mustDeploy(host, ['--retire', '--keep', '1'])
    expect([...(await configsOf(host)).keys()]).toEqual([9001])
  },
)

test('what is not ours is left alone, with a note', async () => {
  await host.run(['qm', 'create', '9000', '--name', 'foreign', '--tags', 'seeder;haproxy;current'])
  await host.run(['qm', 'template', '9000'])
  await mustDeploy(host, ['--storage', 'local', folder(0)])
  await mustDeploy(host, ['--storage', 'local', folder(1)])
  expect(await tagged(host, 'current')).toEqual([9000, 9002])
  // Somebody takes our tag off: it is his now.
  await host.run(['qm', 'set', '9001', '--tags', 'mine'])
  const { stderr } = await mustDeploy(host, ['--retire', '--keep', '1'])
  expect(stderr).toContain('VM 9000 has our tags and is not in the ledger: it is left alone')
  expect(stderr).toContain(
    'VM 9001 is in the ledger as haproxy 3.0.11-1 and was changed by somebody: it is left alone',
  )
  expect([...(await configsOf(host)).keys()]).toEqual([9000, 9001, 9002])
})

test('a plan prints every command and changes nothing', async () => {
  await mustDeploy(host, ['--storage', 'local', folder(0)])
  const before = await inventory(host)
  const { stderr, stdout } = await mustDeploy(host, ['--storage', 'local', '--dry-run', folder(1)])
  expect(stdout).toBe('')
  expect(await inventory(host)).toBe(before)
  expect((await host.run(['sh', '-c', 'ls -A /var/lib/seeder/stage'])).stdout).toBe('')
  const commands = stderr.split('\n').flatMap((line) => /^ {4}(q\S+ \S+ \S+)/.exec(line)?.[1] ?? [])
  expect(commands).toEqual([
    'qm create 9001',
    'qm set 9001',
    'qm disk resize',
    'qm template 9001',
    'qm set 9001',
    'qm set 9000',
  ])
})
