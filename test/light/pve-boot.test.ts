import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest'
import type { Manifest } from '../../src/build/manifest.ts'
import { PveHost } from '../stand-ins/proxmox/host.ts'
import { cardOf, PveMachines } from '../support/boot/pve-machines.ts'
import { removeFolder, testFolder, warmUp } from '../support/builds.ts'

/** Real boots on a stand-in Proxmox VE host, from ZFS and folders; node.test.ts and deploy.test.ts use LVM-thin. */
const root = await testFolder('pve')
const out = join(root, 'image')
let manifest: Manifest
let host: PveHost
let machines: PveMachines

beforeAll(async () => {
  manifest = await warmUp(out)
})
afterAll(() => removeFolder(root))
beforeEach(async () => {
  host = await PveHost.create(join(root, 'host'))
  await host.start()
  machines = new PveMachines(host, out, manifest)
})
afterEach(() => host.remove())

/** Makes a template, and a linked clone of it. */
async function cloneOf(storage: string): Promise<void> {
  await machines.create(storage)
  await machines.mustQm('start', '9000')
  await machines.mustQm('stop', '9000')
  await machines.mustQm('template', '9000')
  await machines.clone('101', 'node1', '192.168.3.70')
}

async function expectNameAndAddress(): Promise<void> {
  const { name, addresses } = await machines.identity('101')
  expect(name).toBe('node1')
  expect(addresses).toContain('192.168.3.70/24')
}

it('a linked clone on ZFS boots, with its address, its name and the MTU of its card', async () => {
  await cloneOf('local-zfs')
  await machines.mustQm('set', '101', '--net0', `${cardOf('101')},bridge=vmbr0,tag=20,mtu=1400`)
  await machines.boot('101')
  await expectNameAndAddress()
  expect(await machines.inGuest('101', '/bin/cat', '/sys/class/net/eth0/mtu')).toBe('1400\n')
  await machines.mustQm('shutdown', '101', '--timeout', '300')
  expect(await machines.mustQm('status', '101')).toBe('status: stopped\n')
})

it('a clone in a folder runs on between commands, loses its cable, and is stopped by a power cut', async () => {
  await cloneOf('local')
  await machines.boot('101')
  await expectNameAndAddress()
  expect(await machines.mustQm('list')).toMatch(/101 node1 +running +1024 +4\.00 \d+/)
  expect(await machines.inGuest('101', '/bin/cat', '/sys/class/net/eth0/carrier')).toBe('1\n')
  await machines.mustQm('set', '101', '--net0', `${cardOf('101')},bridge=vmbr0,link_down=1`)
  expect(await machines.inGuest('101', '/bin/cat', '/sys/class/net/eth0/carrier')).toBe('0\n')

  const failed = JSON.parse(
    await machines.mustQm('guest', 'exec', '101', '--', '/bin/sh', '-c', 'echo no >&2; exit 3'),
  )
  expect(failed).toMatchObject({ exitcode: 3, exited: 1, 'err-data': 'no\n' })
  const late = await machines.qm('guest', 'exec', '101', '--timeout', '1', '--', '/bin/sleep', '30')
  expect(late).toMatchObject({ code: 0, stderr: 'timeout reached, returning pid\n' })
  expect(JSON.parse(late.stdout)).toEqual({ pid: expect.any(Number) })

  await host.powerCut()
  await host.start()
  expect(await machines.mustQm('status', '101')).toBe('status: stopped\n')
  expect(await machines.qm('guest', 'cmd', '101', 'ping')).toMatchObject({
    code: 255,
    stderr: 'VM 101 is not running\n',
  })
  await machines.boot('101')
  await machines.mustQm('stop', '101')
})
