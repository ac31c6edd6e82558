import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest'
import type { Manifest } from '../../src/build/manifest.ts'
import { type HostResult, PveHost } from '../stand-ins/proxmox/host.ts'
import { removeFolder, testFolder, warmUp } from '../support/builds.ts'

/** Real boots on a stand-in Proxmox VE host, from ZFS and folders; node.test.ts and deploy.test.ts use LVM-thin. */
const root = await testFolder('pve')
const out = join(root, 'image')
const bootMs = 10 * 60_000
let manifest: Manifest
let host: PveHost

beforeAll(async () => {
  manifest = await warmUp(out)
})
afterAll(() => removeFolder(root))
beforeEach(async () => {
  host = await PveHost.create(join(root, 'host'))
  await host.start()
})
afterEach(() => host.remove())

function qm(...argv: string[]): Promise<HostResult> {
  return host.run(['qm', ...argv])
}

/** Runs `qm`, which has to succeed. */
async function mustQm(...argv: string[]): Promise<string> {
  const result = await qm(...argv)
  expect(result, argv.join(' ')).toMatchObject({ code: 0 })
  return result.stdout
}

/** Makes a VM of the image, as its documentation describes. */
async function create(storage: string): Promise<void> {
  const disk = `${storage}:0,import-from=${join(out, manifest.qcow2.file)},discard=on,iothread=1`
  const options = {
    name: 'golden',
    memory: '1024',
    cores: '2',
    ostype: 'l26',
    bios: 'ovmf',
    machine: 'q35',
    efidisk0: `${storage}:0,efitype=4m,pre-enrolled-keys=0`,
    scsihw: 'virtio-scsi-single',
    scsi0: disk,
    boot: 'order=scsi0',
    serial0: 'socket',
    ide2: `${storage}:cloudinit`,
    ciupgrade: '0',
    agent: 'enabled=1',
  }
  await mustQm('create', '9000', ...Object.entries(options).flatMap(([key, value]) => [`--${key}`, value]))
  await mustQm('disk', 'resize', '9000', 'scsi0', '4G')
}

/** Makes a template, and a linked clone of it. */
async function cloneOf(storage: string, vmid: string): Promise<void> {
  await create(storage)
  expect(await qm('start', '9000')).toMatchObject({ code: 0 })
  await mustQm('stop', '9000')
  await mustQm('template', '9000')
  await mustQm('clone', '9000', vmid, '--name', 'node1')
  await mustQm('set', vmid, '--net0', `${card},bridge=vmbr0`, '--ipconfig0', 'ip=192.168.3.70/24')
}
const card = 'virtio=BC:24:11:00:00:01'

async function expectNameAndAddress(vmid: string): Promise<void> {
  expect((await inGuest(vmid, '/bin/hostname')).trim()).toBe('node1')
  expect(await inGuest(vmid, '/bin/ip', '-brief', 'address')).toContain('192.168.3.70/24')
}

/** Starts a VM and waits for its guest agent. */
async function boot(vmid: string): Promise<void> {
  await mustQm('start', vmid)
  const deadline = Date.now() + bootMs
  while ((await qm('guest', 'cmd', vmid, 'ping')).code !== 0) {
    const console = await readFile(host.path(`/run/stand-in/console-${vmid}.log`), 'utf8').catch(() => '')
    if (Date.now() > deadline) throw new Error(`no agent in ${vmid}: ${console.slice(-2000)}`)
    await sleep(1000)
  }
}

/** The output of a command in a guest. */
async function inGuest(vmid: string, ...command: string[]): Promise<string> {
  const result = JSON.parse(await mustQm('guest', 'exec', vmid, '--timeout', '60', '--', ...command))
  expect(result, command.join(' ')).toMatchObject({ exitcode: 0, exited: 1 })
  return result['out-data'] ?? ''
}

it('a linked clone on ZFS boots, with its address and its name', async () => {
  await cloneOf('local-zfs', '101')
  await boot('101')
  await expectNameAndAddress('101')
  await mustQm('shutdown', '101', '--timeout', '300')
  expect(await mustQm('status', '101')).toBe('status: stopped\n')
})

it('a clone in a folder runs on between commands, loses its cable, and is stopped by a power cut', async () => {
  await cloneOf('local', '101')
  await boot('101')
  await expectNameAndAddress('101')
  expect(await mustQm('list')).toMatch(/101 node1 +running +1024 +4\.00 \d+/)
  expect(await inGuest('101', '/bin/cat', '/sys/class/net/eth0/carrier')).toBe('1\n')
  await mustQm('set', '101', '--net0', `${card},bridge=vmbr0,link_down=1`)
  expect(await inGuest('101', '/bin/cat', '/sys/class/net/eth0/carrier')).toBe('0\n')

  const failed = JSON.parse(
    await mustQm('guest', 'exec', '101', '--', '/bin/sh', '-c', 'echo no >&2; exit 3'),
  )
  expect(failed).toMatchObject({ exitcode: 3, exited: 1, 'err-data': 'no\n' })
  const late = await qm('guest', 'exec', '101', '--timeout', '1', '--', '/bin/sleep', '30')
  expect(late).toMatchObject({ code: 0, stderr: 'timeout reached, returning pid\n' })
  expect(JSON.parse(late.stdout)).toEqual({ pid: expect.any(Number) })

  await host.powerCut()
  await host.start()
  expect(await mustQm('status', '101')).toBe('status: stopped\n')
  expect(await qm('guest', 'cmd', '101', 'ping')).toMatchObject({
    code: 255,
    stderr: 'VM 101 is not running\n',
  })
  await boot('101')
  await mustQm('stop', '101')
})
