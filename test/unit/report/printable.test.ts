import { expect, test } from 'vitest'
import { z } from 'zod'
import { describeError, SeederError } from '../../../src/report/error.ts'
import { code, plain } from '../../../src/report/markdown.ts'
import { harmless } from '../../../src/report/print.ts'
import { bounded, firstUnprintable, oneLine, visible, visibleJson } from '../../../src/report/printable.ts'
import { createProgress } from '../../../src/report/progress.ts'
import { formatTable } from '../../../src/report/table.ts'
import { foreignLine, foreignText, ownText } from '../../../src/report/text-schemas.ts'

/** One of every kind that a terminal obeys, or does not show. */
const hostile = [
  ['an escape', '\u001b[2J', '\\x1b[2J'],
  ['a bell', '\u0007', '\\x07'],
  ['NUL', '\0', '\\x00'],
  ['a return', 'drifted\rclean', 'drifted\\rclean'],
  ['a backspace', '\b', '\\x08'],
  ['DEL', '\u007f', '\\x7f'],
  ['a C1 escape', '\u009b31m', '\\x9b31m'],
  ['a next line', '\u0085', '\\x85'],
  ['a right-to-left override', '\u202e', '\\u202e'],
  ['an isolate', '\u2066', '\\u2066'],
  ['an Arabic mark', '\u061c', '\\u061c'],
  ['a zero-width space', '\u200b', '\\u200b'],
  ['a word joiner', '\u2060', '\\u2060'],
  ['a byte order mark', '\ufeff', '\\ufeff'],
  ['a line separator', '\u2028', '\\u2028'],
  ['a soft hyphen', '\u00ad', '\\xad'],
  ['a tag', '\u{e0041}', '\\u{e0041}'],
  ['half a character', '\ud800', '\\ud800'],
  ['a filler', '\u3164', '\\u3164'],
] as const

const unseen = /(?![\n])[\p{C}\p{Zl}\p{Zp}\u115f\u1160\u3164\uffa0]/u

test.each(hostile)('%s is visible wherever it is printed', (_, text, shown) => {
  expect(visible(`a${text}b`)).toBe(`a${shown}b`)
  expect(z.object({ said: foreignText }).parse({ said: text })).toEqual({ said: shown })
  expect(z.object({ said: foreignLine }).parse({ said: text })).toEqual({ said: shown })
  expect(ownText.safeParse(`a${text}`).error?.issues[0]?.message).toContain('which does not print; remove it')
  const printed: string[] = []
  const progress = createProgress({ write: (line) => printed.push(line) }, {})
  progress.note(text)
  progress.phase(text)
  progress.done()
  const all = [
    ...printed,
    describeError(new SeederError(text, { fix: text })),
    formatTable([text], [[text]]),
    plain(text),
    code(text),
    visibleJson({ [text]: text }, 2),
  ]
  for (const one of all) expect(one).not.toMatch(unseen)
  expect(JSON.parse(visibleJson({ [text]: text }, 2))).toEqual({ [text]: text })
})

test('readable text does not change, in any language', () => {
  const text = 'Größe 5 µs — „gut“, 日本語, عربي, 👍\n\tand a second line'
  expect(visible(text)).toBe(text)
  expect(firstUnprintable(text)).toBeUndefined()
  expect(ownText.parse(text)).toBe(text)
})

test('a foreign line break begins no line of ours', () => {
  expect(oneLine('drifted\nnode-2 clean')).toBe('drifted\\nnode-2 clean')
  expect(foreignLine.parse('a\n\tb')).toBe('a\\n\\tb')
  expect(formatTable(['node', 'state'], [['one\ntwo', 'drifted']]).split('\n')).toHaveLength(3)
})

test.each([
  ['::error::all is lost', '\\x3a:error::all is lost'],
  ['  ::set-output name=x::y', '  \\x3a:set-output name=x::y'],
  ['\u00a0::stop-commands::x', '\u00a0\\x3a:stop-commands::x'],
  ['fine\n::add-mask::x', 'fine\n\\x3a:add-mask::x'],
  ['it says ##[error]x', 'it says ##\\x5berror]x'],
])('%j is not a command for the runner of a workflow', (text, shown) => {
  expect(harmless(text)).toBe(shown)
})

test('`::` inside a line stays', () => {
  expect(harmless('address fe80::1, module a::b')).toBe('address fe80::1, module a::b')
})

test('text is cut by bytes, and not inside of a character', () => {
  expect(bounded('äöü', 6)).toBe('äöü')
  expect(bounded('äöüä', 7)).toBe('äö…')
})

test('an error has less than 2 kB, whatever it quotes', () => {
  const long = `found ${'\u001b'.repeat(1e6)}`
  for (const error of [
    new SeederError(long, { fix: long }),
    new Error(`${long}\n`.repeat(10)),
    new SeederError('x\n'.repeat(1e6)),
    'ü'.repeat(1e6),
  ]) {
    expect(Buffer.byteLength(describeError(error))).toBeLessThan(2000)
  }
  expect(describeError(new SeederError('x\n'.repeat(100).trimEnd()))).toContain('… and 88 more lines')
})
