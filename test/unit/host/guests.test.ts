import { cp, mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parseGuest, propertyOf, readGuests, tagsOf, uuidOf } from '../../../src/host/guests.ts'

const place = { vmid: 9019, kind: 'qemu', node: 'pve1' } as const

/** As `cat /etc/pve/qemu-server/9019.conf` prints it on Proxmox VE 9, with a snapshot and a pending change. */
const configuration = `#%C3%BCn%C3%AF%3A a=b %25 # %E6%97%A5%E6%9C%AC
#
#seeder-node: 00112233445566778899aabbccddeeff
boot: order=scsi0;ide2
ide2: local:9019/vm-9019-cloudinit.qcow2,media=cdrom
ipconfig0: ip=10.0.12.9/24,gw=10.0.12.1
ipconfig1: ip=dhcp
net0: virtio=BC:24:11:09:6B:CD,bridge=vmbr99,tag=99
parent: before
smbios1: uuid=E66A2264-d9fe-43a8-ad4e-fab0acc38c75
tags: a;node;seeder

[PENDING]
ipconfig0: ip=10.0.12.10/24

[before]
#seeder-node: ffffffffffffffffffffffffffffffff
ipconfig0: ip=10.0.12.8/24
memory: 4096
snaptime: 1795361558
`

describe('a guest’s configuration', () => {
  const guest = parseGuest(configuration, place)

  it('has the current settings, and not those of snapshots and pending changes', () => {
    expect(guest.settings.get('ipconfig0')).toBe('ip=10.0.12.9/24,gw=10.0.12.1')
    expect(guest.settings.get('memory')).toBeUndefined()
    expect(tagsOf(guest)).toEqual(new Set(['a', 'node', 'seeder']))
    expect(uuidOf(guest)).toBe('e66a2264-d9fe-43a8-ad4e-fab0acc38c75')
  })

  it('has its description decoded, without that of a snapshot', () => {
    expect(guest.description).toBe('ünï: a=b % # 日本\n\nseeder-node: 00112233445566778899aabbccddeeff')
  })

  it('has all addresses: current ones, pending ones and those of snapshots', () => {
    expect(guest.addresses).toEqual(['10.0.12.9', '10.0.12.1', '10.0.12.10', '10.0.12.8'])
  })

  it('of a container has its address on its card', () => {
    const container = parseGuest(
      'net0: name=eth0,bridge=vmbr12,hwaddr=BC:24:11:00:00:01,ip=10.0.0.66/26,ip6=auto\n',
      {
        ...place,
        kind: 'lxc',
      },
    )
    expect(container.addresses).toEqual(['10.0.0.66'])
  })

  it('may have any content', () => {
    const odd = parseGuest(
      '#100%\nname: x y; rm -rf /\nnet0: \nipconfig0: ip=;reboot\n: nothing\n\u0000',
      place,
    )
    expect(odd.description).toBe('100%')
    expect(odd.settings.get('name')).toBe('x y; rm -rf /')
    expect(odd.addresses).toEqual([])
    expect(propertyOf('virtio,bridge=vmbr1', 'ridge')).toBeUndefined()
  })
})

describe('the guests of a cluster', () => {
  let pve = ''
  beforeAll(async () => {
    pve = await mkdtemp(join(tmpdir(), 'seeder pve '))
    await mkdir(join(pve, 'nodes/pve1/qemu-server'), { recursive: true })
    await mkdir(join(pve, 'nodes/pve1/lxc'), { recursive: true })
    await mkdir(join(pve, 'nodes/pve2/qemu-server'), { recursive: true })
    await writeFile(join(pve, 'nodes/pve1/qemu-server/9001.conf'), 'name: a\n')
    await writeFile(join(pve, 'nodes/pve1/qemu-server/9001.conf.tmp.12'), 'name: b\n')
    await writeFile(join(pve, 'nodes/pve1/lxc/300.conf'), 'hostname: c\n')
    await writeFile(join(pve, 'nodes/pve2/qemu-server/101.conf'), 'name: d\n')
    await symlink('nodes/pve1', join(pve, 'local'))
  })
  afterAll(() => rm(pve, { recursive: true }))

  it('are those of all nodes, by id', async () => {
    const guests = await readGuests(pve)
    expect(guests.map(({ vmid, kind, node }) => [vmid, kind, node])).toEqual([
      [101, 'qemu', 'pve2'],
      [300, 'lxc', 'pve1'],
      [9001, 'qemu', 'pve1'],
    ])
  })

  it('are read after waiting for the file system of the cluster', async () => {
    const mount = `${pve} mount`
    await mkdir(mount)
    const reading = readGuests(mount)
    await cp(pve, `${pve} copy`, { recursive: true, verbatimSymlinks: true })
    await rename(`${pve} copy`, mount)
    try {
      expect(await reading).toHaveLength(3)
      await rm(join(mount, 'local'))
      await expect(readGuests(mount, 10)).rejects.toThrow(/cannot be read: there is no /)
    } finally {
      await rm(mount, { recursive: true })
    }
  })

  it('cannot be read where there is no Proxmox VE', async () => {
    await expect(readGuests(join(pve, 'none'))).rejects.toThrow(/cannot be read: there is no .*none\/nodes/)
  })
})
