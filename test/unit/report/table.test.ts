import { expect, test } from 'vitest'
import { formatBytes, formatDuration, formatTable } from '../../../src/report/table.ts'

test('columns are as wide as their widest cell and lines end without blanks', () => {
  expect(
    formatTable(
      ['name', 'version'],
      [
        ['haproxy', '3'],
        ['x', ''],
      ],
    ),
  ).toBe(['name     version', '-------  -------', 'haproxy  3', 'x'].join('\n'))
})

test('bytes are given in powers of ten, with one digit below ten', () => {
  const shown = [0, 999, 1000, 1234, 9_940, 12_345, 999_400, 999_600, 125_000_000, 2.5e9, 3e12].map(
    formatBytes,
  )
  expect(shown).toEqual([
    '0 B',
    '999 B',
    '1.0 kB',
    '1.2 kB',
    '9.9 kB',
    '12 kB',
    '999 kB',
    '1.0 MB',
    '125 MB',
    '2.5 GB',
    '3.0 TB',
  ])
})

test('durations change to minutes where seconds would be read as 60.0', () => {
  expect([0, 449, 59_949, 59_950, 60_000, 125_400].map(formatDuration)).toEqual([
    '0.0 s',
    '0.4 s',
    '59.9 s',
    '1 min 00 s',
    '1 min 00 s',
    '2 min 05 s',
  ])
})
