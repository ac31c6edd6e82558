import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import type { Fault } from '../../stand-ins/proxmox/fault.ts'
import type { PveHost } from '../../stand-ins/proxmox/host.ts'
import { testFolder } from '../../support/builds.ts'
import {
  configsOf,
  deploy,
  deployScript,
  inventory,
  mustDeploy,
  startHost,
  tagged,
} from '../../support/deploy/host.ts'
import { makeSmallImage, type SmallImage } from '../../support/deploy/image.ts'

/** deploy.sh and disks of somebody else's that have the number of its VM: a number with one is not free, and none is removed. */
const root = await testFolder('deploy volumes')
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
  return () => host.remove()
})
afterAll(() => rm(root, { recursive: true, force: true }))

const folder = (index: number) => images[index]?.folder ?? ''
const first = () => ['--storage', 'local', folder(0)]
const next = () => ['--storage', 'local', folder(1)]

/** Somebody makes a disk by hand. */
async function alloc(volume: string, size = '1M'): Promise<void> {
  const [storage = '', name = ''] = volume.split(':')
  const [, vmid = ''] = /-(\d+)-/.exec(name) ?? []
  const { code, stderr } = await host.run(['pvesm', 'alloc', storage, vmid, name.replace(/.*\//, ''), size])
  if (code !== 0) throw new Error(stderr)
}

/** The disks that a VM's number has, on all storages. */
async function volumes(vmid: number): Promise<string[]> {
  const lists = await Promise.all(
    ['local', 'local-lvm', 'local-zfs'].map((name) =>
      host.run(['pvesm', 'list', name, '--vmid', String(vmid)]),
    ),
  )
  return lists.flatMap(({ stdout }) =>
    stdout
      .split('\n')
      .flatMap((line) => (line.trim().endsWith(` ${vmid}`) ? [line.split(' ')[0] ?? ''] : [])),
  )
}

test('a number with a disk on any storage is not free', async () => {
  const foreign = ['local-lvm:vm-9000-disk-0', 'local-zfs:vm-9001-disk-0', 'local:9002/vm-9002-disk-3.raw']
  for (const volume of foreign) await alloc(volume)
  await mustDeploy(host, first())
  expect(await tagged(host, 'current')).toEqual([9003])
  for (const volume of foreign) expect(await volumes(Number(/-(\d+)-/.exec(volume)?.[1]))).toEqual([volume])
})

test('without access to a storage no number is known to be free', async () => {
  await host.faults.set({ kind: 'storage-gone', storage: 'local-zfs', match: '^pvesm status', at: 1 })
  const { code, stderr } = await deploy(host, first())
  expect([code, stderr]).toEqual([
    1,
    expect.stringMatching(
      /looked on all storages .*; local-zfs \(zfspool\) is inactive\n {2}→ .*--disable 1/,
    ),
  ])
  expect((await configsOf(host)).size).toBe(0)
})

test('a list that fails is not an empty list, and is read again', async () => {
  const fault = {
    kind: 'fail',
    when: 'before',
    status: 255,
    stderr: 'cannot list\n',
    match: '^pvesm list local-lvm',
  } as const
  await alloc('local-lvm:vm-9000-disk-0')
  await host.faults.set({ ...fault, at: 1 })
  await mustDeploy(host, first())
  expect(await tagged(host, 'current')).toEqual([9001])
  await host.faults.set(...[1, 2, 3].map((at) => ({ ...fault, at })))
  const { code, stderr } = await deploy(host, next())
  expect([code, stderr]).toEqual([1, expect.stringContaining('pvesm list local-lvm failed: cannot list')])
  expect(await tagged(host, 'current')).toEqual([9001])
})

const moments = [
  ['^qm set 9001 --efidisk0', 'before'],
  ['^qm set 9001 --efidisk0', 'middle'],
  ['^qm disk resize', 'after'],
  ['^qm template', 'middle'],
] as const

test.each(moments)('disks that appear between claim and undo stay: killed at %s, %s', async (match, when) => {
  await mustDeploy(host, first())
  const before = await inventory(host)
  const pause: Fault = { kind: 'pause', when: 'before', match: '^qm set 9001 --efidisk0', at: 1 }
  await host.faults.set(
    pause,
    ...(when === 'before' ? [] : [{ kind: 'power-cut', when, match, at: 1 } as const]),
  )
  const killed = host.spawn([deployScript, ...next()])
  const ended = new Promise((end) => killed.on('close', end))
  await host.faults.paused()
  const foreign = [
    'local:9001/vm-9001-disk-0.raw',
    'local:9001/vm-9001-disk-5.raw',
    'local-lvm:vm-9001-disk-0',
    'local-zfs:vm-9001-disk-1',
  ]
  for (const volume of foreign) await alloc(volume)
  if (when === 'before') {
    if (killed.pid !== undefined) process.kill(-killed.pid, 'SIGKILL')
    await ended
  } else {
    await host.faults.release()
    await host.waitForPowerCut()
    await ended
    await host.start()
  }
  await host.faults.clear()
  const { stderr } = await mustDeploy(host, ['--recover'])
  expect(stderr).toContain('it is undone')
  expect(await volumes(9001), stderr).toEqual(foreign)
  for (const volume of foreign) await host.run(['pvesm', 'free', volume])
  await host.run(['rmdir', '/var/lib/vz/images/9001'])
  expect(await inventory(host), stderr).toBe(before)
  await mustDeploy(host, next())
  expect(await tagged(host, 'current')).toEqual([9001])
})

test('retiring removes a template’s own disks and no others', async () => {
  await mustDeploy(host, first())
  await mustDeploy(host, next())
  const foreign = ['local:9000/vm-9000-disk-7.raw', 'local-lvm:vm-9000-disk-0']
  for (const volume of foreign) await alloc(volume)
  await mustDeploy(host, ['--retire', '--keep', '1'])
  expect([...(await configsOf(host)).keys()]).toEqual([9001])
  expect(await volumes(9000)).toEqual(foreign)
})

test('an interrupted retirement is finished without removing disks of others', async () => {
  await mustDeploy(host, first())
  await mustDeploy(host, next())
  await alloc('local-zfs:vm-9000-disk-0')
  await host.faults.set({ kind: 'power-cut', when: 'middle', match: '^qm destroy 9000', at: 1 })
  const cut = deploy(host, ['--retire', '--keep', '1']).catch(() => undefined)
  await host.waitForPowerCut()
  await cut
  await host.start()
  await host.faults.clear()
  await mustDeploy(host, ['--recover'])
  expect([...(await configsOf(host)).keys()]).toEqual([9001])
  expect(await volumes(9000)).toEqual(['local-zfs:vm-9000-disk-0'])
})
