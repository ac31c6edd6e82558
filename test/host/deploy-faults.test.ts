import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { testFolder } from '../support/builds.ts'
import { configsOf, deploy, inventory, mustDeploy, startHost, tagged } from '../support/deploy/host.ts'
import { makeSmallImage, type SmallImage } from '../support/deploy/image.ts'
import type { Fault } from '../support/pve/fault.ts'
import type { PveHost } from '../support/pve/host.ts'

/** deploy.sh on a host where something goes wrong: what was current stays, and nothing is left of what was not made. */
const root = await testFolder('deploy faults')
let images: SmallImage[]
let host: PveHost
let count = 0

beforeAll(async () => {
  images = await Promise.all(
    ['3.0.11-1', '3.0.12-1'].map((version) => makeSmallImage(join(root, version), { version })),
  )
})
beforeEach(async () => {
  host = await startHost(join(root, `host-${count++}`))
  await mustDeploy(host, ['--storage', 'local', folder(0)])
  return () => host.remove()
})
afterAll(() => rm(root, { recursive: true, force: true }))

const folder = (index: number) => images[index]?.folder ?? ''
const next = () => ['--storage', 'local', folder(1)]

test.each<[string, Fault, string]>([
  ['no room on the storage', { kind: 'no-space', match: '^qm set', at: 1 }, 'qm set 9001 failed: '],
  [
    'a disk that keeps another byte',
    { kind: 'corrupt', offset: 2 << 20, match: '^qm set', at: 1 },
    'the imported disk of VM 9001 is not the image',
  ],
  [
    'a resize that fails',
    {
      kind: 'fail',
      when: 'before',
      status: 0,
      stderr: 'shrinking disks is not supported\n',
      match: '^qm disk resize',
      at: 1,
    },
    'qm disk resize 9001 failed: shrinking disks',
  ],
  [
    'a template that fails and says 0',
    {
      kind: 'fail',
      when: 'before',
      status: 0,
      stderr: 'file_size_info failed\n',
      match: '^qm template',
      at: 1,
    },
    'qm template 9001 failed: file_size_info failed',
  ],
  ['a storage that goes away', { kind: 'storage-gone', storage: 'local', match: '^qm set', at: 1 }, 'failed'],
  [
    'a locked configuration',
    {
      kind: 'fail',
      when: 'before',
      status: 4,
      stderr: "can't lock file '/var/lock/qemu-server/lock-9001.conf' - got timeout\n",
      match: '^qm template',
      at: 1,
    },
    "can't lock file",
  ],
])('%s', async (_, fault, words) => {
  const before = await inventory(host)
  await host.faults.set(fault)
  const { code, stderr } = await deploy(host, next())
  await host.faults.clear()
  expect(stderr).toContain(words)
  expect(code).toBe(1)
  if (fault.kind === 'storage-gone') await mustDeploy(host, ['--recover'])
  expect(await inventory(host)).toBe(before)
  expect(await tagged(host, 'current')).toEqual([9000])
})

test('a VM of somebody else’s that appears in the claimed number is left alone, and the next number is taken', async () => {
  const config = 'boot: \nmemory: 512\nname: foreign\nsmbios1: uuid=11111111-2222-3333-4444-555555555555\n'
  await host.faults.set({ kind: 'foreign-vm', vmid: 9001, config, match: '^qm create', at: 1 })
  const { stderr } = await mustDeploy(host, next())
  expect(stderr).toContain('VM 9001 has just been taken by somebody else')
  const configs = await configsOf(host)
  expect(configs.get(9001)?.name).toBe('foreign')
  expect(configs.get(9002)?.tags).toBe('current;haproxy;seeder')
})

test('a VM that takes the number of a killed deploy before the next run is left alone', async () => {
  await host.faults.set({ kind: 'kill', when: 'before', match: '^qm create', at: 1 })
  expect((await deploy(host, next())).code).toBe(137)
  await host.faults.clear()
  await host.run(['qm', 'create', '9001', '--name', 'foreign', '--scsi0', 'local:1'])
  const { stderr } = await mustDeploy(host, next())
  expect(stderr).toContain('VM 9001 is not the one that was being made: it is left alone')
  expect((await configsOf(host)).get(9001)?.name).toBe('foreign')
  expect(await tagged(host, 'current')).toEqual([9002])
})

const calls = [
  'qm create',
  'qm set 9001 --efidisk0',
  'qm disk resize',
  'qm template',
  'qm set 9001 --tags',
  'qm set 9000 --tags',
]

test('the power is cut in the middle of each command, and everything is as after an undisturbed run', async () => {
  const other = await startHost(join(root, `host-${count++}`))
  await mustDeploy(other, ['--storage', 'local', folder(0)])
  await mustDeploy(other, next())
  const undisturbed = await inventory(other)
  await other.remove()
  for (const match of calls) {
    for (const when of ['before', 'middle', 'after'] as const) {
      const cut = await startHost(join(root, `host-${count++}`))
      try {
        await mustDeploy(cut, ['--storage', 'local', folder(0)])
        await cut.faults.set({ kind: 'power-cut', when, match: `^${match}`, at: 1 })
        await deploy(cut, next()).catch(() => undefined)
        await cut.waitForPowerCut()
        await cut.start()
        await cut.faults.clear()
        expect(await tagged(cut, 'current'), `${match}, ${when}`).toContain(9000)
        const { code, stderr } = await deploy(cut, next())
        expect(code, `${match}, ${when}: ${stderr}`).toBe(0)
        expect(await inventory(cut), `${match}, ${when}: ${stderr}`).toBe(undisturbed)
      } finally {
        await cut.remove()
      }
    }
  }
}, 600_000)

test('a task of Proxmox VE that outlives a killed deploy is waited for', async () => {
  await host.faults.set({ kind: 'kill', when: 'middle', match: '^qm create', at: 1 })
  expect((await deploy(host, next())).code).toBe(137)
  await host.faults.clear()
  await mustDeploy(host, next())
  expect(await tagged(host, 'current')).toEqual([9001])
  expect([...(await configsOf(host)).keys()]).toEqual([9000, 9001])
})

test('of two deployers one waits for no one, and the other says so', async () => {
  await host.faults.set({ kind: 'pause', when: 'before', match: '^qm template', at: 1 })
  const first = deploy(host, next())
  await host.faults.paused()
  const second = await deploy(host, next())
  expect([second.code, second.stderr]).toEqual([
    75,
    expect.stringContaining('another deploy is at work on this host'),
  ])
  await host.faults.release()
  expect((await first).code).toBe(0)
  expect(await tagged(host, 'current')).toEqual([9001])
})

test('another node of the cluster that deploys is waited for, and a lock that nobody keeps ends', async () => {
  const lock = '/etc/pve/priv/lock/seeder-deploy'
  await host.run(['mkdir', '-p', lock])
  await host.run(['touch', '-d', '10 minutes ago', lock])
  const { stderr } = await mustDeploy(host, next())
  expect(stderr).toContain('another node of the cluster deploys, or a run was killed')
  expect((await host.run(['ls', '/etc/pve/priv/lock'])).stdout).toBe('')
})
