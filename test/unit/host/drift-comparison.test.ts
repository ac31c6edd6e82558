import { describe, expect, it } from 'vitest'
import type { DriftReport, DriftResult } from '../../../src/guest/drift-result.ts'
import {
  clonesOf,
  compareClone,
  driftCount,
  driftText,
  type KnownClone,
  uncheckedClone,
} from '../../../src/host/drift.ts'
import { parseGuest } from '../../../src/host/guests.ts'
import type { NodeEntry } from '../../../src/host/node/ledger.ts'
import type { HostReport } from '../../../src/host/report.ts'

const roothash = 'ab'.repeat(32)
const uki = 'cd'.repeat(32)
const template = { vmid: 9000, image: 'etcd', version: '3.7.2-1', uuid: 'u', promoted: 1, roothash, uki }
const clone: KnownClone = { name: 'etcd1', vmid: 200, image: 'etcd', version: '3.7.2-1', template }
const clean: DriftResult = {
  schema: 1,
  image: 'etcd',
  version: '3.7.2-1',
  state: 'clean',
  taken: '2026-01-02T03:04:05Z',
  roothash,
  uki,
  list: 'ef'.repeat(32),
  accepted: [],
  total: 0,
  findings: [],
}
const finding = { kind: 'file-changed', name: '/etc/motd', detail: 'mode 0600 instead of 0644' } as const

describe('a clone', () => {
  it('that reports clean, and matches its template, is clean', () => {
    expect(compareClone(clone, clean)).toMatchObject({ state: 'clean', total: 0, findings: [] })
  })

  it.each([
    ['another /usr', { roothash: '11'.repeat(32) }, 'usr-replaced', '/usr'],
    ['no /usr that is protected', { roothash: '' }, 'usr-replaced', '/usr'],
    ['another kernel', { uki: '11'.repeat(32) }, 'kernel-changed', 'EFI/BOOT/BOOTX64.EFI'],
    ['another version', { version: '3.6.1-1' }, 'usr-replaced', '/usr'],
    ['another image', { image: 'haproxy' }, 'usr-replaced', '/usr'],
  ] as const)('that says it is clean, but has %s, has drifted', (_, said, kind, name) => {
    const found = compareClone(clone, { ...clean, ...said })
    expect(found).toMatchObject({ state: 'drifted', total: 1, findings: [{ kind, name }] })
  })

  it('whose template is gone is compared only with known facts', () => {
    const orphan = { ...clone, template: undefined }
    expect(compareClone(orphan, { ...clean, uki: '11'.repeat(32) })).toMatchObject({ state: 'clean' })
    const old = { ...clone, template: { ...template, roothash: undefined, uki: undefined } }
    expect(compareClone(old, clean)).toMatchObject({ state: 'clean' })
  })

  it('whose kernel was changed has a single finding for it', () => {
    const changed = { kind: 'kernel-changed', name: 'EFI/BOOT/BOOTX64.EFI', detail: 'changed' } as const
    const said: DriftResult = {
      ...clean,
      state: 'drifted',
      uki: '11'.repeat(32),
      total: 1,
      findings: [changed],
    }
    expect(compareClone(clone, said)).toMatchObject({ total: 1, findings: [changed] })
  })

  it('that is still in its first boot is pending', () => {
    expect(compareClone(clone, { ...clean, state: 'pending', roothash: '', uki: '' })).toMatchObject({
      state: 'pending',
      total: 0,
    })
  })
})

describe('the clones of a host', () => {
  const report: HostReport = {
    schema: 1,
    host: 'pve1',
    taken: '2026-01-02T03:04:05Z',
    templates: [
      {
        image: 'etcd',
        version: '3.7.2-1',
        vmid: 9000,
        storage: 'local',
        current: true,
        deployed: '',
        sha256: '',
        clones: [
          { vmid: 201, name: null },
          { vmid: 200, name: 'etcd1' },
        ],
      },
    ],
  }
  const node = (name: string, vmid: number, state: NodeEntry['state']) =>
    ({ name, vmid, state, role: 'worker', template: { vmid: 8999, version: '1.36.1-1' } }) as NodeEntry

  it('are those of its templates, and nodes whose template is gone', () => {
    const guests = [parseGuest('name: by-hand\n', { vmid: 201, kind: 'qemu', node: 'pve1' })]
    const nodes = [node('etcd1', 200, 'created'), node('w1', 210, 'created'), node('w2', 211, 'reserved')]
    expect(clonesOf(report, nodes, guests, [template])).toEqual([
      clone,
      { ...clone, name: 'by-hand', vmid: 201 },
      { name: 'w1', vmid: 210, image: 'kubernetes-node', version: '1.36.1-1', template: undefined },
    ])
  })
})

describe('the report', () => {
  const report: DriftReport = {
    schema: 1,
    host: 'pve1',
    taken: '2026-01-02T03:04:05Z',
    nodes: [
      compareClone(clone, clean),
      compareClone(
        { ...clone, name: 'etcd2', vmid: 201 },
        { ...clean, state: 'drifted', total: 3, findings: [finding] },
      ),
      compareClone({ ...clone, name: 'etcd3', vmid: 202 }, { ...clean, accepted: ['/etc/hosts'] }),
      uncheckedClone({ ...clone, name: 'etcd4', vmid: 203 }, 'unasked', 'stopped'),
      uncheckedClone({ ...clone, name: 'etcd5', vmid: 204 }, 'unknown', 'no answer'),
    ],
    templates: [
      {
        image: 'etcd',
        version: '3.7.2-1',
        vmid: 9000,
        node: 'pve1',
        state: 'intact',
        sha256: 'aa',
        found: 'aa',
      },
      {
        image: 'etcd',
        version: '3.7.1-1',
        vmid: 9001,
        node: 'pve1',
        state: 'changed',
        sha256: 'aa',
        found: 'bb',
      },
    ],
  }

  it('names every finding, accepted paths, and clones that could not be checked', () => {
    const lines = driftText(report)
      .split('\n')
      .filter((line) => !/^-+ /.test(line))
    expect(lines).toEqual([
      expect.stringMatching(/^node +vm +made of +state/),
      expect.stringMatching(/^etcd1 +200 +etcd 3\.7\.2-1 +clean$/),
      expect.stringMatching(/^etcd2 +201 +etcd 3\.7\.2-1 +drifted: 3 findings$/),
      expect.stringMatching(/^etcd3 +202 +etcd 3\.7\.2-1 +clean$/),
      expect.stringMatching(/^etcd4 +203 +etcd 3\.7\.2-1 +unasked +stopped$/),
      expect.stringMatching(/^etcd5 +204 +etcd 3\.7\.2-1 +unknown +no answer$/),
      '',
      'etcd2: file-changed: /etc/motd (mode 0600 instead of 0644)',
      'etcd2: and 2 more',
      'etcd3: accepted by an operator: /etc/hosts',
      '',
      expect.stringMatching(/^template +vm +disk/),
      expect.stringMatching(/^etcd 3\.7\.2-1 +9000 +intact$/),
      expect.stringMatching(/^etcd 3\.7\.1-1 +9001 +changed +its disk’s sha256 is bb; deployed was aa$/),
    ])
  })

  it('counts nodes that differ or do not answer, but not those that do not run', () => {
    expect(driftCount(report)).toBe(3)
    expect(driftCount({ ...report, nodes: [], templates: [] })).toBe(0)
    const templates = report.templates.map((one) => ({ ...one, state: 'unreadable' as const, found: null }))
    expect(driftCount({ ...report, nodes: [], templates })).toBe(2)
  })
})
