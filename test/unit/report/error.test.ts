import { expect, test } from 'vitest'
import { causeChain, describeError, SeederError, UsageError } from '../../../src/report/error.ts'

test('an error is a line that says what was found and a line that says what to do', () => {
  expect(describeError(new SeederError('It broke', { fix: 'mend it' }))).toBe('It broke\n  → mend it')
  expect(describeError(new SeederError('It broke'))).toBe('It broke')
  expect(describeError(new Error('plain'))).toBe('plain')
  expect(describeError('SIGINT')).toBe('SIGINT')
})

test('wrong use is an error of its own, and still one of ours', () => {
  const error = new UsageError('no such image')
  expect(error).toBeInstanceOf(SeederError)
  expect(error.name).toBe('UsageError')
})

test('the chain lists every cause, outermost first, and not the error itself', () => {
  const chain = causeChain(
    new SeederError('outer', { cause: new SeederError('middle', { cause: 'a string' }) }),
  )
  expect(chain).toHaveLength(2)
  expect(chain[0]).toContain('middle')
  expect(chain[1]).toBe('a string')
  expect(causeChain(new SeederError('alone'))).toEqual([])
})
