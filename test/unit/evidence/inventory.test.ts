import { expect, it } from 'vitest'
import { formatInventory, inventorySchema, parseListing, unownedOf } from '../../../src/evidence/inventory.ts'

const digest = 'a'.repeat(64)

it('reads what find and sha256sum printed', () => {
  const listing = [
    'd 755 0:0 4096',
    'usr/lib',
    '',
    'f 4755 0:0 12',
    'usr/lib/with blank',
    '',
    'f 644 0:0 0',
    'usr/two\nlines\tand a tab',
    '',
    'l 777 0:0 3',
    'usr/x',
    '../a\tb',
    'c 600 0:5 0',
    './dev/console',
    '',
  ].join('\0')
  const digests = [`${digest}  usr/lib/with blank`, `${digest}  usr/two\nlines\tand a tab`].join('\0')
  expect(parseListing(`${listing}\0`, `${digests}\0`)).toEqual([
    { path: '/usr/lib', type: 'directory', mode: '0755', ids: '0:0' },
    { path: '/usr/lib/with blank', type: 'file', mode: '4755', ids: '0:0', size: 12, sha256: digest },
    { path: '/usr/two\nlines\tand a tab', type: 'file', mode: '0644', ids: '0:0', size: 0, sha256: digest },
    { path: '/usr/x', type: 'link', mode: '0777', ids: '0:0', target: '../a\tb' },
    { path: '/dev/console', type: 'character device', mode: '0600', ids: '0:5' },
  ])
})

it.each([
  ['a file without a digest', 'f 644 0:0 1'],
  ['a kind that no image has', 's 644 0:0 1'],
])('refuses %s', (_what, facts) => {
  expect(() => parseListing(`${facts}\0usr/c\0\0`, `${digest}  usr/a\0`)).toThrow('cannot be listed')
})

it('is written with a line for each path, and read again', () => {
  const inventory = {
    schema: 1 as const,
    image: 'etcd',
    version: '3.7.2-1',
    files: [
      { path: '/etc', type: 'directory' as const, mode: '0755', ids: '0:0' },
      {
        path: '/etc/a',
        type: 'file' as const,
        mode: '0644',
        ids: '0:0',
        size: 1,
        sha256: digest,
        owner: null,
      },
      { path: '/etc/b', type: 'link' as const, mode: '0777', ids: '0:0', target: 'a', owner: 'package:b' },
    ],
  }
  const text = formatInventory(inventory)
  expect(text.split('\n')).toHaveLength(11)
  expect(inventorySchema.parse(JSON.parse(text))).toEqual(inventory)
  expect(unownedOf(inventory)).toEqual(['/etc/a'])
})
