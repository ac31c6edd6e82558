import { expect, test } from 'vitest'
import { createProgress } from '../../../src/report/progress.ts'

function recorder(isTTY: boolean) {
  const written: string[] = []
  return { isTTY, write: (text: string) => written.push(text), text: () => written.join('') }
}

const ESCAPE = '\u001b'

test('in a pipe there is a line per phase, and nothing moves', () => {
  const out = recorder(false)
  const progress = createProgress(out, {})
  progress.phase('packages')
  progress.note('3 files to download, 4.5 MB')
  progress.bytes('downloading', 1_000_000, 4_500_000)
  progress.phase('rootfs')
  progress.done()
  expect(out.text()).toMatch(/^ {2}3 files to download, 4\.5 MB\npackages \d+\.\d s\nrootfs \d+\.\d s\n$/)
  expect(out.text()).not.toContain(ESCAPE)
})

test('on a terminal the phase’s line is rewritten and shows the bytes', () => {
  const out = recorder(true)
  const progress = createProgress(out, { TERM: 'xterm' })
  progress.phase('packages')
  progress.bytes('downloading', 1_000_000, 4_500_000)
  progress.done()
  expect(out.text()).toContain('\r')
  expect(out.text()).toContain('downloading 1 of 5 MB')
  expect(out.text()).toContain(`${ESCAPE}[1mpackages`)
  expect(out.text().endsWith('\n')).toBe(true)
})

test('NO_COLOR takes the colours away, a dumb terminal everything that moves', () => {
  const plain = recorder(true)
  const progress = createProgress(plain, { TERM: 'xterm', NO_COLOR: '1' })
  progress.phase('packages')
  progress.done()
  expect(plain.text()).not.toContain(`${ESCAPE}[1m`)
  expect(plain.text()).not.toContain(`${ESCAPE}[2m`)

  const dumb = recorder(true)
  const still = createProgress(dumb, { TERM: 'dumb' })
  still.phase('packages')
  still.bytes('downloading', 1, 2)
  still.done()
  expect(dumb.text()).toMatch(/^packages \d+\.\d s\n$/)
})

test('quiet writes nothing and still measures', async () => {
  const out = recorder(true)
  const progress = createProgress(out, { TERM: 'xterm' }, true)
  progress.phase('packages')
  progress.note('a note')
  await new Promise((resolve) => setTimeout(resolve, 20))
  progress.bytes('downloading', 1, 2)
  progress.done()
  expect(out.text()).toBe('')
  expect(Object.keys(progress.timings)).toEqual(['packages'])
  expect(progress.timings.packages).toBeGreaterThanOrEqual(15)
})

test('stopping leaves the phase’s line for an error to follow on the next, and times nothing', () => {
  const out = recorder(true)
  const progress = createProgress(out, { TERM: 'xterm', NO_COLOR: '1' })
  progress.phase('packages')
  progress.stop()
  progress.stop()
  progress.done()
  expect(out.text()).toBe(`\r${ESCAPE}[Kpackages 0 s \n`)
  expect(progress.timings).toEqual({})
  const pipe = recorder(false)
  const still = createProgress(pipe, {})
  still.phase('packages')
  still.stop()
  expect(pipe.text()).toBe('')
})

test('a phase that comes again adds up', () => {
  const progress = createProgress(recorder(false), {})
  for (const name of ['a', 'b', 'a']) progress.phase(name)
  progress.done()
  progress.done()
  expect(Object.keys(progress.timings)).toEqual(['a', 'b'])
})
