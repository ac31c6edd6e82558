import { expect, test } from 'vitest'
import type { FileEntry, FileInventory } from '../../../../src/evidence/inventory.ts'
import { compareInventories } from '../../../../src/release/difference/files-difference.ts'

const file = (path: string, size = 0, other: Partial<FileEntry> = {}): FileEntry => ({
  path,
  type: 'file',
  mode: '0644',
  ids: '0:0',
  size,
  sha256: 'a'.repeat(64),
  ...other,
})
const link = (path: string, target: string): FileEntry => ({
  path,
  type: 'link',
  mode: '0777',
  ids: '0:0',
  target,
})
const inventory = (...files: FileEntry[]): FileInventory => ({
  schema: 1,
  image: 'haproxy',
  version: '1-1',
  files,
})

test('the same files are no difference', () => {
  const same = inventory(file('/usr/bin/a', 10), link('/etc/b', 'c'))
  expect(compareInventories(same, structuredClone(same))).toEqual({
    added: [],
    removed: [],
    changed: [],
    folders: [],
    units: { enabled: [], disabled: [], masked: [], unmasked: [] },
  })
})

test('files that came, went and changed, with what of them, and the folders by how much they grew', () => {
  const before = inventory(
    file('/usr/bin/a', 10),
    file('/usr/bin/gone', 5),
    file('/usr/lib/deep/down/x', 100),
    link('/etc/b', 'c'),
    file('/top', 1),
  )
  const after = inventory(
    file('/usr/bin/a', 12, { sha256: 'b'.repeat(64), mode: '4755' }),
    file('/usr/lib/deep/down/x', 100),
    file('/usr/lib/deep/down/y', 900),
    link('/etc/b', 'd'),
    file('/top', 1, { ids: '0:42' }),
  )
  expect(compareInventories(before, after)).toMatchObject({
    added: ['/usr/lib/deep/down/y'],
    removed: ['/usr/bin/gone'],
    changed: [
      { path: '/usr/bin/a', what: ['content', 'mode'] },
      { path: '/etc/b', what: ['target'] },
      { path: '/top', what: ['owner'] },
    ],
    folders: [
      { path: '/usr/lib/deep', before: 100, after: 1000 },
      { path: '/usr/bin', before: 15, after: 12 },
    ],
  })
})

test('units that are enabled, or masked, by their links', () => {
  const wants = '/etc/systemd/system/multi-user.target.wants'
  const before = inventory(
    link(`${wants}/old.service`, '/usr/lib/systemd/system/old.service'),
    link('/etc/systemd/system/apt-daily.timer', '/dev/null'),
  )
  const after = inventory(
    link(`${wants}/new.service`, '/usr/lib/systemd/system/new.service'),
    link('/usr/lib/systemd/system/sysinit.target.wants/static.service', '../static.service'),
    link('/etc/systemd/system/getty@tty1.service', '/dev/null'),
    link('/etc/systemd/system/alias.service', '/usr/lib/systemd/system/new.service'),
  )
  expect(compareInventories(before, after).units).toEqual({
    enabled: ['new.service', 'static.service'],
    disabled: ['old.service'],
    masked: ['getty@tty1.service'],
    unmasked: ['apt-daily.timer'],
  })
})
