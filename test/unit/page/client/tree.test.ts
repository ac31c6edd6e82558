import { describe, expect, it } from 'vitest'
import {
  byFolder,
  byOwner,
  gathered,
  type TreeEntry,
  wayToVariety,
} from '../../../../src/page/client/tree.ts'
import type { PackedSizes } from '../../../../src/page/packed.ts'

const sizes: PackedSizes = {
  owners: ['definition', 'package:a'],
  root: [
    '',
    [
      [
        'usr',
        [
          [
            'lib',
            [
              [
                'modules',
                [
                  ['one', 600, 1],
                  ['two', 300, 1, 1],
                ],
              ],
            ],
          ],
          ['file', 90, 1],
        ],
      ],
      ['etc', [['conf', 10, 0, 2]]],
    ],
  ],
}

/** A tree as names and sizes. */
function shape({ name, size, entries }: TreeEntry): unknown {
  return entries === undefined ? [name, size] : [name, size, entries.map(shape)]
}

describe('an image', () => {
  it('by folder: the largest first, and folders with only a folder in them are one', () => {
    expect(shape(byFolder(sizes))).toEqual([
      '/',
      1000,
      [
        [
          'usr',
          990,
          [
            [
              'lib/modules',
              900,
              [
                ['one', 600],
                ['two', 300],
              ],
            ],
            ['file', 90],
          ],
        ],
        ['etc', 10, [['conf', 10]]],
      ],
    ])
  })

  it('by owner: each with its own files alone', () => {
    const owners = byOwner(sizes).entries ?? []
    expect(owners.map(({ name, size, path }) => [name, size, path])).toEqual([
      ['a', 990, 'package:a'],
      ['definition', 10, 'definition'],
    ])
    expect(owners[1]?.entries?.map(shape)).toEqual([['etc', 10, [['conf', 10]]]])
  })

  it('knows what is changed or new below a folder, and whose a file is', () => {
    const root = byFolder(sizes)
    const [usr, etc] = root.entries ?? []
    expect([root.changes, usr?.changes, etc?.changes]).toEqual([2, 1, 1])
    expect(etc?.entries?.[0]).toMatchObject({ path: '/etc/conf', owner: 'definition', state: 'new' })
  })

  it('is shown from where there is a variety of things', () => {
    expect(wayToVariety(byFolder(sizes)).map(({ path }) => path)).toEqual(['/', '/usr', '/usr/lib/modules'])
    expect(wayToVariety(byFolder({ owners: [], root: ['', []] }))).toHaveLength(1)
  })
})

describe('small entries', () => {
  const folder = (...all: number[]): TreeEntry =>
    byFolder({ owners: ['definition'], root: ['', all.map((size, at) => [`f${at}`, size, 0])] })

  it('are put together, and nothing of them is lost', () => {
    const found = gathered(folder(100, 9, 8, 7), 10)
    expect(found.map(({ name, size }) => [name, size])).toEqual([
      ['f0', 100],
      ['3 smaller', 24],
    ])
    expect(found[1]?.entries?.map(({ name }) => name)).toEqual(['f1', 'f2', 'f3'])
  })

  it('stay as they are when it is one, or when there is nothing else', () => {
    expect(gathered(folder(100, 9), 10)).toHaveLength(2)
    expect(gathered(folder(9, 8, 7), 10)).toHaveLength(3)
  })
})
