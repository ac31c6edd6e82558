import { describe, expect, it } from 'vitest'
import { describeDifferences, firstDifference } from '../../support/build/compare-disks.ts'

const file = (content: string, mode = '644', time = '1') => ['f', mode, '0:0', time, '5', '', content]

describe('the first difference of two listings', () => {
  it('is the first by path, with the differing properties', () => {
    const before = new Map([
      ['/b', file('x')],
      ['/a', file('same')],
      ['/c', file('x')],
    ])
    const after = new Map([
      ['/a', file('same')],
      ['/c', file('y')],
      ['/b', file('y', '600')],
    ])
    expect(firstDifference(before, after)).toEqual({ file: '/b', what: 'mode, content' })
  })

  it('can be a time, or a file that only one has', () => {
    const one = new Map([['/a', file('x')]])
    expect(firstDifference(one, new Map([['/a', file('x', '644', '2')]]))).toEqual({
      file: '/a',
      what: 'time',
    })
    expect(firstDifference(one, new Map())).toEqual({ file: '/a', what: 'only in the first' })
    expect(firstDifference(new Map(), one)).toEqual({ file: '/a', what: 'only in the second' })
  })

  it('can be outside every file', () => {
    const one = new Map([['/a', file('x')]])
    expect(firstDifference(one, one)).toEqual({
      file: undefined,
      what: 'not in a file: the layout of the data',
    })
  })
})

it('prints a line for each difference', () => {
  expect(
    describeDifferences([
      { partition: 'usr', file: '/lib/os-release', what: 'content' },
      { partition: 'verity', file: undefined, what: 'not in a file: the layout of the data' },
    ]),
  ).toBe('usr: /lib/os-release: content\nverity: not in a file: the layout of the data')
})
