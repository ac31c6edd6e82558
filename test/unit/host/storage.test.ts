import { describe, expect, it } from 'vitest'
import {
  chooseSnippetStorage,
  parseInactive,
  parseStorages,
  parseVolumes,
} from '../../../src/host/storage.ts'

/** As Proxmox VE 9 prints it. */
const status = `Name             Type     Status     Total (KiB)      Used (KiB) Available (KiB)        %
local             dir     active       264212084        39129964        67260948   14.81%
old               nfs   inactive               0               0               0    0.00%
local-lvm     lvmthin     active        67260948               0        67260948    0.00%
off               dir   disabled               0               0               0      N/A
`
const list = `Volid                              Format  Type          Size VMID
local:9000/vm-9000-cloudinit.qcow2 qcow2   images     4194304 9000
local:9001/base-9001-disk-1.qcow2/201/vm-201-disk-0.qcow2 qcow2   images  67108864 201
local:import/imp.qcow2             qcow2   import    30328320
local:snippets/user.yaml           snippet snippets        29
local:300/vm-300-disk-0.raw        raw     rootdir 8589934592 300
`

describe('the output of pvesm', () => {
  it('has the active storages', () => {
    expect(parseStorages(status)).toEqual([
      { name: 'local', type: 'dir' },
      { name: 'local-lvm', type: 'lvmthin' },
    ])
    expect(parseStorages('')).toEqual([])
    expect(parseInactive(status)).toEqual(['old'])
  })

  it('has the volumes of guests', () => {
    expect(parseVolumes(list)).toEqual([
      { id: 'local:9000/vm-9000-cloudinit.qcow2', bytes: 4194304, vmid: 9000 },
      { id: 'local:9001/base-9001-disk-1.qcow2/201/vm-201-disk-0.qcow2', bytes: 67108864, vmid: 201 },
      { id: 'local:300/vm-300-disk-0.raw', bytes: 8589934592, vmid: 300 },
    ])
  })
})

describe('the storage for vendor data', () => {
  const storages = (...names: string[]) => names.map((name) => ({ name, type: 'dir' }))

  it('is the named one, the only one, or local', () => {
    expect(chooseSnippetStorage(storages('a', 'b'), 'b')).toBe('b')
    expect(chooseSnippetStorage(storages('a'), undefined)).toBe('a')
    expect(chooseSnippetStorage(storages('a', 'local'), undefined)).toBe('local')
  })

  it('is refused when it is ambiguous or missing', () => {
    expect(() => chooseSnippetStorage([], undefined)).toThrow('No storage of this host holds snippets')
    expect(() => chooseSnippetStorage(storages('a', 'b'), undefined)).toThrow(
      'Several storages hold snippets: a, b',
    )
    expect(() => chooseSnippetStorage(storages('a'), 'local')).toThrow('local holds no snippets')
  })
})
