import { HOSTILE_TEXT } from './bytes.ts'
import type { Random } from './random.ts'

type Change = (text: Buffer, random: Random) => Buffer

/** What a value of a node may be by mistake, or by somebody who means no good. */
const VALUES = [
  '',
  '-',
  '=',
  '/',
  '/26',
  '10.0.0.51/',
  '10.0.0.51/33',
  '10.0.0.51/-1',
  '10.0.0.51//26',
  '10.0.0.51/026',
  '10.0.0.51/08',
  '10.0.0.9999999999999999999',
  '999999999999999999999',
  '08',
  '-1',
  '0',
  '1e9',
  '0x10',
  'a[0]',
  'a=',
  '=10.0.0.66',
  'a==',
  'a=10.0.0.66:',
  'a=10.0.0.66:08',
  'a=:6443',
  'a=10.0.0.66:6443:6443',
  'a=b=c',
  '*',
  '?',
  '/*',
  '~',
  '$(id)',
  '`id`',
  '$HOME',
  // biome-ignore lint/suspicious/noTemplateCurlyInString: a shell's own braces
  '${x}',
  'a;b',
  'a|b',
  'a&b',
  '!!',
  '%s%n',
  '-n',
  '--',
  'new',
  'existing',
  'join',
  'init',
  'worker',
  'control-plane',
  'sha256:',
  'abcdef.',
  '.',
  '..',
  'x'.repeat(300),
  ' ',
  '10.0.0.51/26 10.0.0.51/26',
  '10.0.0.51/26 10.0.1.51/26',
  '255.255.255.255',
  '[::1]',
  'node1',
  'a '.repeat(500),
]

/** Changes one `KEY=value` line. */
function value(change: (value: string, random: Random) => string): Change {
  return (text, random) => {
    const lines = text.toString().split('\n')
    const keyed = lines.flatMap((line, index) => (line.includes('=') ? [index] : []))
    const index = random.pick(keyed)
    const [, key = '', quote = '', old = ''] = /^(\w+)=("?)(.*?)"?$/.exec(lines[index] ?? '') ?? []
    lines[index] = `${key}=${quote}${change(old, random)}${quote}`
    return Buffer.from(lines.join('\n'))
  }
}

/** Ways to spoil a node.env so that it still is one. */
export const NODE_ENV_CHANGES: Readonly<Record<string, Change>> = {
  'another value': value((_, random) => random.pick(VALUES)),
  'another word': value((old, random) => {
    const words = old.split(' ')
    words[random.below(words.length)] = random.pick(VALUES)
    return words.join(' ')
  }),
  'a word more': value((old, random) => `${old} ${random.pick(VALUES)}`),
  'hostile text in a value': value((old, random) => {
    const place = random.below(old.length + 1)
    return `${old.slice(0, place)}${random.pick(HOSTILE_TEXT)}${old.slice(place)}`
  }),
  'a character less': value((old, random) => {
    const place = random.below(old.length + 1)
    return `${old.slice(0, place)}${old.slice(place + 1)}`
  }),
  'two values changed': (text, random) => {
    const change = value((_, inner) => inner.pick(VALUES))
    return change(change(text, random), random)
  },
  'no value': (text, random) => {
    const lines = text.toString().split('\n')
    lines.splice(random.below(lines.length), 1)
    return Buffer.from(lines.join('\n'))
  },
}
