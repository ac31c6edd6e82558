import type { Random } from './random.ts'

type Change = (text: Buffer, random: Random) => Buffer

const after =
  (more: string): Change =>
  (text) =>
    Buffer.concat([text, Buffer.from(`\n${more}\n`)])

/** Each level has the one before it nine times. */
const bomb = Array.from({ length: 12 }, (_, level) =>
  level === 0
    ? 'b0: &b0 [x]'
    : `b${level}: &b${level} [${Array(9)
        .fill(`*b${level - 1}`)
        .join(', ')}]`,
).join('\n')

/** Ways to spoil a file of YAML that only YAML has. */
export const YAML_CHANGES: Readonly<Record<string, Change>> = {
  'a bomb of aliases': after(bomb),
  'an alias of itself': after('self: &self [*self, *self]'),
  'an alias of nothing': after('none: *nothing'),
  'a merge of aliases': after('base: &base {a: 1}\nmerged: {<<: *base, <<: *base}'),
  'deep lists': after(`deep: ${'['.repeat(20_000)}`),
  'deep maps': after(`deep: ${'{a: '.repeat(20_000)}`),
  'deep indents': after(Array.from({ length: 3000 }, (_, level) => `${' '.repeat(level)}a:`).join('\n')),
  'a tag of a program': after('run: !!js/function "process.exit(7)"'),
  'a directive': (text) => Buffer.concat([Buffer.from('%YAML 9.9\n%TAG ! tag:x\n---\n'), text]),
  'a second document': after('---\nsecond: 1'),
  'an escape in quotes': after('"\\e[2J\\x9b\\u202e": "\\0\\x7f"'),
  binary: after('bin: !!binary //79/A=='),
  'a date': after('date: !!timestamp 99999-13-77'),
  'keys that are maps': after('? {a: b}\n: {c: d}\n? [x]\n: y'),
  'the prototype': after('__proto__: {polluted: 1}\nconstructor: {prototype: {polluted: 1}}'),
  tabs: (text) => Buffer.from(text.toString().replaceAll('  ', '\t')),
  'a key twice': (text, random) => {
    const keys = [...text.toString().matchAll(/^\w+:.*$/gm)].map(([line]) => line)
    return Buffer.concat([text, Buffer.from(`\n${keys.length > 0 ? random.pick(keys) : 'a: 1'}\n`)])
  },
}
