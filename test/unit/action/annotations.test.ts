import { expect, test } from 'vitest'
import { annotationsOf } from '../../../src/action/annotations.ts'
import { SeederError, UsageError } from '../../../src/report/error.ts'

test('faults of a definition are annotations at their lines', () => {
  const error = new UsageError(
    '/work space/images/a/image.yaml:3:5: packages: missing; add it\n/work space/platform.yaml:9:1: dns: unknown key; remove it',
  )
  expect(annotationsOf(error, '/work space')).toEqual([
    {
      message: 'packages: missing; add it',
      place: { file: 'images/a/image.yaml', startLine: 3, startColumn: 5 },
    },
    {
      message: 'dns: unknown key; remove it',
      place: { file: 'platform.yaml', startLine: 9, startColumn: 1 },
    },
  ])
})

test('any other error is an annotation of the run, with the fix', () => {
  const error = new SeederError('no space left at 10:30: 0 bytes', { fix: 'free some' })
  expect(annotationsOf(error, '/w')).toEqual([{ message: 'no space left at 10:30: 0 bytes\n  → free some' }])
  const elsewhere = new UsageError('/etc/x.yaml:1:1: wrong')
  expect(annotationsOf(elsewhere, '/w')).toEqual([{ message: '/etc/x.yaml:1:1: wrong' }])
})
