import { expect, test } from 'vitest'
import { createStepProgress } from '../../../src/action/progress.ts'

test('each phase is a group with its duration below it', () => {
  const lines: string[] = []
  let clock = 0
  const progress = createStepProgress(
    (line) => lines.push(line),
    () => clock,
  )
  progress.phase('packages')
  progress.note('all there')
  clock = 1500
  progress.phase('disk')
  clock = 4000
  progress.done()
  expect(lines).toEqual([
    '::group::packages',
    'all there',
    '::endgroup::',
    'packages: 1.5 s',
    '::group::disk',
    '::endgroup::',
    'disk: 2.5 s',
  ])
  expect(progress.timings).toEqual({ packages: 1500, disk: 2500 })
})

test('a transfer prints one line in five seconds, and a failed phase closes its group', () => {
  const lines: string[] = []
  let clock = 0
  const progress = createStepProgress(
    (line) => lines.push(line),
    () => clock,
  )
  progress.phase('upload')
  for (const ms of [0, 1000, 4999, 5000, 9000, 10_000]) {
    clock = ms
    progress.bytes('part 1', ms * 1000, 10_000_000)
  }
  progress.stop()
  progress.stop()
  expect(lines).toEqual([
    '::group::upload',
    'part 1: 5.0 MB of 10 MB',
    'part 1: 10 MB of 10 MB',
    '::endgroup::',
  ])
})
