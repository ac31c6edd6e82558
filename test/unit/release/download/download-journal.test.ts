import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { DownloadJournal, parseMarks } from '../../../../src/release/download/download-journal.ts'
import { testFolder } from '../../../support/builds.ts'

const root = await testFolder('journal')
afterAll(() => rm(root, { recursive: true, force: true }))

const part = (name: string) => ({ name, size: 10, sha256: '' })

it('the last line of a part counts', () => {
  const text =
    'seeder download 1 abc\n5 x.part-01\n5 x.part-02\ndone x.part-01\n9 x.part-02\ndone x.part-02\n0 x.part-02\n'
  expect(parseMarks(text, 'abc')).toEqual(
    new Map([
      ['x.part-01', { bytes: 0, done: true }],
      ['x.part-02', { bytes: 0, done: false }],
    ]),
  )
})

it('that of another release, or an invalid one, is ignored', () => {
  for (const text of ['', 'seeder download 1 abc', 'seeder download 1 abd\n5 x\n', 'else\n5 x\n']) {
    expect(parseMarks(text, 'abc')).toBeUndefined()
  }
})

it('an incomplete line is ignored, and the next one is not appended to it', async () => {
  const file = join(root, 'cut')
  await writeFile(file, 'seeder download 1 abc\ndone SHA256SUMS.sig\ndone SHA256SUMS')
  const journal = await DownloadJournal.open(file, 'abc')
  expect(journal.of(part('SHA256SUMS'))).toEqual({ bytes: 0, done: false })
  expect(journal.of(part('SHA256SUMS.sig'))).toEqual({ bytes: 0, done: true })
  await journal.mark(part('x'), { bytes: 7, done: false })
  await journal.close()
  expect(await readFile(file, 'utf8')).toBe('seeder download 1 abc\ndone SHA256SUMS.sig\n7 x\n')
})

it('starts empty for another release', async () => {
  const file = join(root, 'other')
  await writeFile(file, 'seeder download 1 abc\ndone x\n')
  const journal = await DownloadJournal.open(file, 'def')
  expect([journal.isNew, journal.of(part('x')).done]).toEqual([true, false])
  await journal.close()
  expect(await readFile(file, 'utf8')).toBe('seeder download 1 def\n')
})
