import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Guest, parseGuest } from '../../../src/host/guests.ts'
import {
  currentTemplate,
  diskAt,
  findTemplate,
  parseSize,
  parseTemplateEntry,
  readTemplateEntries,
  type TemplateEntry,
} from '../../../src/host/templates.ts'

const uuid = (vmid: number) => `00000000-0000-4000-8000-00000000${vmid}`

function template(vmid: number, changes: Record<string, string | undefined> = {}, node = 'pve1'): Guest {
  const settings = {
    boot: 'order=scsi0',
    ide2: `local:${vmid}/vm-${vmid}-cloudinit.qcow2,media=cdrom`,
    net0: 'virtio=BC:24:11:00:00:01,bridge=vmbr13,firewall=1',
    scsi0: `local:${vmid}/base-${vmid}-disk-1.qcow2,discard=on,size=20G`,
    smbios1: `uuid=${uuid(vmid)}`,
    tags: 'current;etcd;seeder',
    template: '1',
    ...changes,
  }
  const lines = Object.entries(settings).flatMap(([key, value]) =>
    value === undefined ? [] : [`${key}: ${value}\n`],
  )
  return parseGuest(lines.join(''), { vmid, kind: 'qemu', node })
}

function entry(vmid: number, changes: Partial<TemplateEntry> = {}): TemplateEntry {
  return { vmid, image: 'etcd', version: '3.7.2-1', uuid: uuid(vmid), promoted: 1, ...changes }
}

describe('the current template of an image', () => {
  it('is ours, tagged, and has its entry', () => {
    const found = currentTemplate('etcd', 'pve1', [template(9001)], [entry(9001)])
    expect(found).toMatchObject({ vmid: 9001, version: '3.7.2-1' })
    expect(found.disk).toEqual({
      slot: 'scsi0',
      volume: 'local:9001/base-9001-disk-1.qcow2',
      bytes: 20 * 1024 ** 3,
    })
    expect(found.settings.has('net0')).toBe(true)
  })

  it('is the last promoted one while two have the tag', () => {
    const guests = [template(9001), template(9002), template(9003)]
    const entries = [
      entry(9001, { promoted: 9 }),
      entry(9002, { promoted: 10 }),
      entry(9003, { promoted: 2 }),
    ]
    expect(findTemplate('etcd', 'pve1', guests, entries)?.vmid).toBe(9002)
  })

  it.each([
    ['without the tag current', template(9001, { tags: 'etcd;seeder' }), entry(9001)],
    ['without the tag seeder', template(9001, { tags: 'current;etcd' }), entry(9001)],
    ['of another image', template(9001), entry(9001, { image: 'haproxy' })],
    ['with another uuid than its entry', template(9001), entry(9001, { uuid: uuid(9002) })],
    ['with the entry of another VM', template(9001), entry(9002, { uuid: uuid(9001) })],
    ['that is no template', template(9001, { template: undefined }), entry(9001)],
    [
      'whose conversion failed',
      template(9001, { scsi0: 'local:9001/vm-9001-disk-1.qcow2,size=20G' }),
      entry(9001),
    ],
    ['on another Proxmox node', template(9001, {}, 'pve2'), entry(9001)],
  ])('is none %s', (_, guest, its) => {
    expect(findTemplate('etcd', 'pve1', [guest], [its])).toBeUndefined()
    expect(() => currentTemplate('etcd', 'pve1', [guest], [its])).toThrow(
      'pve1 has no template of etcd that is current',
    )
  })

  it('needs a cloud-init drive', () => {
    const bare = template(9001, { ide2: undefined })
    expect(() => currentTemplate('etcd', 'pve1', [bare], [entry(9001)])).toThrow(
      'VM 9001, has no cloud-init drive',
    )
    const lvm = template(9001, { ide2: 'local-lvm:vm-9001-cloudinit,media=cdrom' })
    expect(currentTemplate('etcd', 'pve1', [lvm], [entry(9001)]).vmid).toBe(9001)
  })
})

describe('entries of templates', () => {
  let folder = ''
  const text = (vmid: number) =>
    `VMID=${vmid}\nIMAGE=etcd\nVERSION=3.7.2-1\nSTORAGE=local\nRAW_SHA256=${'0'.repeat(64)}\nUUID=${uuid(vmid).toUpperCase()}\nPROMOTED=3\n`
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'seeder templates '))
    await writeFile(join(folder, '9001'), text(9001))
    await writeFile(join(folder, '9002'), text(9003))
    await writeFile(join(folder, '9003.new'), text(9003))
    await writeFile(join(folder, '9004'), 'VMID=9004\n')
    await mkdir(join(folder, 'other'))
  })
  afterAll(() => rm(folder, { recursive: true }))

  it('are the files whose name is the id of their VM', async () => {
    expect(await readTemplateEntries(folder)).toEqual([entry(9001, { promoted: 3 })])
  })

  it('are an empty list where nothing was deployed', async () => {
    expect(await readTemplateEntries(join(folder, 'none'))).toEqual([])
  })

  it('have no promotion before the first one', () => {
    expect(parseTemplateEntry(text(9001).replace('PROMOTED=3\n', ''), 9001)?.promoted).toBe(0)
  })
})

describe('a disk', () => {
  it('has its size as Proxmox VE writes it', () => {
    expect(['528K', '1088M', '3G', '1.5T', '0T', '', '3X'].map(parseSize)).toEqual([
      540672,
      1140850688,
      3221225472,
      1649267441664,
      undefined,
      undefined,
      undefined,
    ])
  })

  it('is only at a slot for disks', () => {
    expect(diskAt(template(9001), 'scsi0')?.volume).toBe('local:9001/base-9001-disk-1.qcow2')
    expect(diskAt(template(9001), 'scsi1')).toBeUndefined()
    expect(diskAt(template(9001), 'net0')).toBeUndefined()
  })
})
