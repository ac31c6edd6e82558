import { describe, expect, it } from 'vitest'
import {
  byFolder,
  byOwner,
  groupSmall,
  pathToVariety,
  type TreeEntry,
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
  it('by folder: the largest first, and a folder that contains only a folder is merged with it', () => {
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

  it('by owner: each with its own files only', () => {
    const owners = byOwner(sizes).entries ?? []
    expect(owners.map(({ name, size, path }) => [name, size, path])).toEqual([
      ['a', 990, 'package:a'],
      ['definition', 10, 'definition'],
    ])
    expect(owners[1]?.entries?.map(shape)).toEqual([['etc', 10, [['conf', 10]]]])
  })

  it('has the number of changed and new files below a folder, and the owner of a file', () => {
    const root = byFolder(sizes)
    const [usr, etc] = root.entries ?? []
    expect([root.changes, usr?.changes, etc?.changes]).toEqual([2, 1, 1])
    expect(etc?.entries?.[0]).toMatchObject({ path: '/etc/conf', owner: 'definition', state: 'new' })
  })

  it('is shown from the first folder that no single entry nearly fills', () => {
    expect(pathToVariety(byFolder(sizes)).map(({ path }) => path)).toEqual(['/', '/usr', '/usr/lib/modules'])
    expect(pathToVariety(byFolder({ owners: [], root: ['', []] }))).toHaveLength(1)
  })
})

describe('small entries', () => {
  const folder = (...all: number[]): TreeEntry =>
    byFolder({ owners: ['definition'], root: ['', all.map((size, index) => [`f${index}`, size, 0])] })

  it('are grouped, and none is lost', () => {
    const found = groupSmall(folder(100, 9, 8, 7), 10)
    expect(found.map(({ name, size }) => [name, size])).toEqual([
      ['f0', 100],
      ['3 smaller', 24],
    ])
    expect(found[1]?.entries?.map(({ name }) => name)).toEqual(['f1', 'f2', 'f3'])
  })

  it('stay as they are when there is only one, or when all are small', () => {
    expect(groupSmall(folder(100, 9), 10)).toHaveLength(2)
    expect(groupSmall(folder(9, 8, 7), 10)).toHaveLength(3)
  })
})
