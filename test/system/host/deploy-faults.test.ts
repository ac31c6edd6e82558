import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import type { Fault } from '../../stand-ins/proxmox/fault.ts'
import type { PveHost } from '../../stand-ins/proxmox/host.ts'
import { testFolder } from '../../support/builds.ts'
import { configsOf, deploy, deployScript, inventory, mustDeploy, tagged } from '../../support/deploy/host.ts'
import { makeSmallImage, type SmallImage } from '../../support/deploy/image.ts'
import { PreparedHost } from '../../support/deploy/prepared.ts'

/** deploy.sh on a host where something goes wrong: what was current stays, and nothing is left of what was not made. */
const root = await testFolder('deploy faults')
let images: SmallImage[]
/** A host with the first image. */
let prepared: PreparedHost
let host: PveHost
/** What a host has after both images were deployed to it. */
let undisturbed: string

beforeAll(async () => {
  images = await Promise.all(
    ['3.0.11-1', '3.0.12-1'].map((version) => makeSmallImage(join(root, version), { version })),
  )
  prepared = await PreparedHost.make(join(root, 'host'), ['--storage', 'local', folder(0)])
  undisturbed = (await prepared.and(next())).inventory
})
beforeEach(async () => {
  host = await prepared.start()
  return () => host.remove()
})
afterAll(async () => {
  await prepared.remove()
  await rm(root, { recursive: true, force: true })
})

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

const moments = [
  ...['qm create', 'qm set 9001 --efidisk0', 'qm template'].flatMap((call) =>
    (['before', 'middle', 'after'] as const).map((when) => [call, when] as const),
  ),
  ...['qm disk resize', 'qm set 9001 --tags', 'qm set 9000 --tags'].flatMap((call) =>
    (['before', 'after'] as const).map((when) => [call, when] as const),
  ),
]

test.each(moments)(
  'the power is cut at %s, %s, and all is as after an undisturbed run',
  async (call, when) => {
    await host.faults.set({ kind: 'power-cut', when, match: `^${call}`, at: 1 })
    const cut = deploy(host, next()).catch(() => undefined)
    await Promise.race([
      host.waitForPowerCut(),
      cut
        .then(() => new Promise((wake) => setTimeout(wake, 5000)))
        .then(() => {
          if (host.running) throw new Error('the power was not cut')
        }),
    ])
    await host.start()
    await host.faults.clear()
    expect(await tagged(host, 'current')).toEqual(
      expect.arrayContaining([9000].slice(call.includes('9000') ? 1 : 0)),
    )
    const { code, stderr } = await deploy(host, next())
    expect(code, stderr).toBe(0)
    expect(await inventory(host), stderr).toBe(undisturbed)
  },
)

test('a task of Proxmox VE that outlives a killed deploy is waited for', async () => {
  await host.faults.set({ kind: 'pause', when: 'middle', match: '^qm template', at: 1 })
  const killed = host.spawn([deployScript, ...next()])
  await host.faults.paused()
  if (killed.pid !== undefined) process.kill(-killed.pid, 'SIGKILL')
  const again = deploy(host, next())
  await new Promise((wake) => setTimeout(wake, 3000))
  await host.faults.release()
  const { code, stderr } = await again
  expect(stderr).toContain('a task of Proxmox VE still works on VM 9001; waiting for it')
  expect(code, stderr).toBe(0)
  expect(await inventory(host)).toBe(undisturbed)
})

test('a deploy that is stopped with all that it has started, as when its time is over, is undone', async () => {
  const before = await inventory(host)
  await host.faults.set({ kind: 'pause', when: 'middle', match: '^qm set', at: 1 })
  const begin = ['setsid', '--wait', 'bash', '-c', 'echo $$ >/run/deploying; exec "$0" "$@"']
  const stopped = host.run([...begin, deployScript, ...next()])
  await host.faults.paused()
  await host.run(['bash', '-c', 'kill -TERM -- "-$(cat /run/deploying)"'])
  await host.faults.release()
  expect(await stopped).toMatchObject({ code: 143, stderr: expect.stringContaining('it is undone') })
  expect(await inventory(host)).toBe(before)
  expect(await tagged(host, 'current')).toEqual([9000])
})

test('the second of two deployers ends at once, with a message', async () => {
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

test('a deploy waits for another node of the cluster, and a stale lock ends', async () => {
  const lock = '/etc/pve/priv/lock/seeder-deploy'
  await host.run(['mkdir', '-p', lock])
  await host.run(['touch', '-d', '10 minutes ago', lock])
  const { stderr } = await mustDeploy(host, next())
  expect(stderr).toContain('another node of the cluster deploys, or a run was killed')
  expect((await host.run(['ls', '/etc/pve/priv/lock'])).stdout).toBe('')
})
