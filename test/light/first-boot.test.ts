import { afterAll, beforeAll, expect, it } from 'vitest'
import { PveMachines } from '../support/boot/pve-machines.ts'
import { removeFolder, testFolder } from '../support/builds.ts'

/** Machines whose drive is missing or broken, that lose their power, or that have another machine's disk beside theirs. */
const root = await testFolder('first boot')
let machines: PveMachines

beforeAll(async () => {
  machines = await PveMachines.start(root)
})
afterAll(async () => {
  await machines.host.remove()
  await removeFolder(root)
})

/** Starts a VM, whose first boot has to succeed. */
async function startReady(vmid: string): Promise<void> {
  const { state, reason } = await machines.firstBoot(vmid)
  expect(state, `${reason}\n${await machines.console(vmid)}`).toBe('ready')
}

const hostKeys = ['/bin/sh', '-c', 'cat /etc/ssh/ssh_host_*_key | sha256sum']

it(
  'a clone without a drive fails, is made with one, and keeps what it has when its drive is detached',
  async () => {
    await machines.clone('101', 'node1', '192.168.3.71')
    await machines.mustQm('set', '101', '--delete', 'ide2')
    const without = await machines.firstBoot('101')
    expect(without).toMatchObject({
      state: 'failed',
      reason: expect.stringContaining('cloud-init: no cloud-init drive with data was found'),
    })
    expect(await machines.console('101')).toContain('seeder-first-boot: cloud-init: no cloud-init drive')
    await machines.mustQm('stop', '101')

    await machines.mustQm('set', '101', '--ide2', 'local:cloudinit')
    await startReady('101')
    const before = await machines.identity('101')
    expect(before).toEqual({ name: 'node1', addresses: expect.stringContaining('192.168.3.71/24') })
    const keys = await machines.inGuest('101', ...hostKeys)
    await machines.mustQm('stop', '101')

    await machines.mustQm('set', '101', '--delete', 'ide2')
    await startReady('101')
    expect(await machines.identity('101')).toEqual(before)
    expect(await machines.inGuest('101', ...hostKeys)).toBe(keys)
    await machines.mustQm('stop', '101')
  },
  15 * 60_000,
)

it(
  'a machine starts from its own disk, whichever place another one of the same image has',
  async () => {
    await machines.clone('102', 'node2', '192.168.3.72')
    const [own, other] = [await machines.diskOf('102'), await machines.diskOf('101')]
    const mine = { name: 'node2', addresses: expect.stringContaining('192.168.3.72/24') }
    await machines.mustQm('set', '102', '--scsi1', other)
    await startReady('102')
    expect(await machines.identity('102')).toEqual(mine)
    await machines.mustQm('stop', '102')

    await machines.mustQm('set', '102', '--delete', 'scsi0,scsi1')
    await machines.mustQm('set', '102', '--scsi0', other, '--scsi1', own, '--boot', 'order=scsi1')
    await startReady('102')
    expect(await machines.identity('102')).toEqual(mine)
    await machines.mustQm('stop', '102')
  },
  15 * 60_000,
)

it(
  'two fresh disks of an image in one machine are refused by name',
  async () => {
    await machines.clone('103', 'node3', '192.168.3.73')
    await machines.clone('104', 'node4', '192.168.3.74')
    await machines.mustQm('set', '103', '--scsi1', await machines.diskOf('104'))
    await machines.mustQm('start', '103')
    const refusal = "seeder-initrd: cannot decide which disk is this machine's: sda sdb all hold this image"
    await expect.poll(() => machines.console('103'), { timeout: 120_000, interval: 500 }).toContain(refusal)
    await machines.mustQm('stop', '103')
  },
  5 * 60_000,
)

it(
  'vendor data that cannot be used makes first boot fail with the place, and without its content',
  async () => {
    const text =
      '#cloud-config\nwrite_files:\n- {path: /etc/seeder/node.env, content: JOIN_TOKEN=abcdef: x: y}\n'
    await machines.writeSnippet('v.yaml', text)
    await machines.clone('105', 'node5', '192.168.3.75')
    await machines.mustQm('set', '105', '--cicustom', 'vendor=local:snippets/v.yaml')
    expect(await machines.firstBoot('105')).toMatchObject({
      state: 'failed',
      reason: expect.stringMatching(/^cloud-init: the vendor data is not YAML: line 3, column \d+$/),
    })
    expect(await machines.console('105')).not.toMatch(/seeder-first-boot:.*abcdef/)
    await machines.mustQm('stop', '105')
  },
  5 * 60_000,
)
