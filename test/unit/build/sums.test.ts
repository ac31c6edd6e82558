import { describe, expect, it } from 'vitest'
import { parseSums } from '../../../src/build/sums.ts'

const [a, b] = ['a'.repeat(64), 'b'.repeat(64)]

describe('SHA256SUMS', () => {
  it('has a digest for each name, as sha256sum writes it', () => {
    expect([...parseSums(`${a}  first\n${b} *second.json\n`)]).toEqual([
      ['first', a],
      ['second.json', b],
    ])
  })

  it.each([
    ['a malformed line', `${a}  first\nnot a digest\n`],
    ['a name with a path', `${a}  ../first\n`],
    ['a name twice', `${a}  first\n${b}  first\n`],
  ])('is refused with %s', (_, text) => {
    expect(() => parseSums(text)).toThrow('SHA256SUMS has an invalid line')
  })
})
