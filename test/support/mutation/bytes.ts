import type { Random } from './random.ts'

/** A spoiled file, and how it was spoiled. */
export interface Mutation {
  readonly what: string
  readonly content: Buffer
}

/** What a terminal obeys or hides, what a shell or a workflow's runner reads, and what has no end. */
export const HOSTILE_TEXT = [
  '\u001b[2J\u001b[31m',
  '\u001b]0;owned\u0007',
  '\u009b31m',
  '\0',
  '\r',
  '\u007f',
  '\u0085',
  '\b\b\b',
  '\u202e',
  '\u2066',
  '\u200b',
  '\u2028',
  '\ufeff',
  '\u00ad',
  '\u{e0041}',
  '::error::all is lost',
  '##[error]lost',
  '$(reboot)',
  '`reboot`',
  '; reboot',
  '../../../etc/passwd',
  '-rf',
  '/dev/zero',
  '%00',
  '\\',
  '"',
  "'",
  '\n',
  '\n::error::x',
  '{{',
  '&a',
  '*a',
  '__proto__',
]

const HUGE = '99999999999999999999 1e309 -1 0x7fffffffffffffff 9007199254740993 -0 1e-400 NaN'.split(' ')

const WHOLE = ['', '\n', 'null', '[]', '{}', '42', '"x"', '---\n...\n', '\0', '{"__proto__": {"schema": 1}}']

type Change = (text: Buffer, random: Random) => Buffer

const place = (text: Buffer, random: Random) => random.below(text.length + 1)

function insert(text: Buffer, offset: number, more: Buffer | string): Buffer {
  return Buffer.concat([text.subarray(0, offset), Buffer.from(more), text.subarray(offset)])
}

function lines(change: (lines: string[], random: Random) => void): Change {
  return (text, random) => {
    const all = text.toString('latin1').split('\n')
    change(all, random)
    return Buffer.from(all.join('\n'), 'latin1')
  }
}

/** Ways to spoil any file. */
export const BYTE_CHANGES = {
  'bits flipped': (text, random) => {
    const copy = Buffer.from(text)
    for (let count = 1 + random.below(8); count > 0 && copy.length > 0; count--) {
      const offset = random.below(copy.length)
      copy.writeUInt8(copy.readUInt8(offset) ^ (1 << random.below(8)), offset)
    }
    return copy
  },
  truncated: (text, random) => text.subarray(0, place(text, random)),
  'a piece less': (text, random) => {
    const start = place(text, random)
    return Buffer.concat([text.subarray(0, start), text.subarray(start + 1 + random.below(64))])
  },
  'a piece twice': (text, random) => {
    const start = place(text, random)
    return insert(text, start, text.subarray(start, start + 1 + random.below(256)))
  },
  'bytes that are no text': (text, random) =>
    insert(
      text,
      place(text, random),
      Buffer.from([0xff, 0xfe, random.below(256), 0xc3, 0x28, 0xed, 0xa0, 0x80]),
    ),
  'another file': (_, random) => Buffer.from(random.pick(WHOLE)),
} satisfies Readonly<Record<string, Change>>

/** Ways to spoil a file of text. */
export const TEXT_CHANGES: Readonly<Record<string, Change>> = {
  'hostile text': (text, random) => insert(text, place(text, random), random.pick(HOSTILE_TEXT)),
  'hostile text in each line': lines((all, random) => {
    const hostile = Buffer.from(random.pick(HOSTILE_TEXT)).toString('latin1')
    for (const [index, line] of all.entries()) all[index] = `${line}${hostile}`
  }),
  'a word that is hostile': (text, random) => {
    const words = [...text.toString('latin1').matchAll(/[\w.-]+/g)]
    if (words.length === 0) return text
    const word = random.pick(words)
    const hostile = random.pick(HOSTILE_TEXT)
    return insert(cut(text, word.index, word[0].length), word.index, hostile)
  },
  'a huge number': (text, random) => {
    const numbers = [...text.toString('latin1').matchAll(/\d+/g)]
    if (numbers.length === 0) return text
    const number = random.pick(numbers)
    return insert(cut(text, number.index, number[0].length), number.index, random.pick(HUGE))
  },
  'a very long line': (text, random) => insert(text, place(text, random), 'x'.repeat(2 ** 20)),
  'very many lines': (text, random) => insert(text, place(text, random), 'x\n'.repeat(50_000)),
  'a byte order mark': (text) => insert(text, 0, '\ufeff'),
  'the line ends of Windows': (text) =>
    Buffer.from(text.toString('latin1').replaceAll('\n', '\r\n'), 'latin1'),
  'a line less': lines((all, random) => all.splice(random.below(all.length), 1)),
  'a line twice': lines((all, random) => {
    const index = random.below(all.length)
    all.splice(random.below(all.length), 0, all[index] ?? '')
  }),
  'lines swapped': lines((all, random) => {
    const [a, b] = [random.below(all.length), random.below(all.length)]
    ;[all[a], all[b]] = [all[b] ?? '', all[a] ?? '']
  }),
}

function cut(text: Buffer, start: number, length: number): Buffer {
  return Buffer.concat([text.subarray(0, start), text.subarray(start + length)])
}

/** Spoils a file in one of some ways. */
export function mutate(content: Buffer, changes: Readonly<Record<string, Change>>, random: Random): Mutation {
  const [what, change] = random.pick(Object.entries(changes))
  return { what, content: change(content, random) }
}
