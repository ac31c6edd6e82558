import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { NEEDED_MODULES } from '../../../src/build/initrd.ts'
import { calledWords } from '../../../src/build/shell-words.ts'
import { commandsOf } from '../../support/build/guest-programs.ts'

const init = await readFile(join(import.meta.dirname, '../../../images/common/initrd/init.sh'), 'utf8')

describe('the words that a script calls', () => {
  it.each([
    ['a b; c', 'a c'],
    ['a && b || c | d & e', 'a b c d e'],
    ['if a; then b; elif c; then d; else e; fi', 'a b c d e'],
    ['while ! a; do b; done >file', 'a b'],
    ['for a in b c; do d "$a"; done', 'd'],
    ['case $a in b | c*) d ;; *) e; f ;; esac; g', 'd e f g'],
    ['case $a in\n  (b) c ;;\nesac\nd', 'c d'],
    ['x=1 y="$(a "$(b)")" c $(d e)', 'a b c d'],
    ['a() {\n  b\n}\na\nc', 'b c'],
    ['exec a b', 'a'],
    ['a "b; c" \'d; e\' f\\;g # h; i', 'a'],
    ['[ -n "$a" ] && b >/dev/null 2>&1 <c || { d; }', '[ b d'],
    ['(a; b) | c', 'a b c'],
    ['a \\\n  b\nc', 'a c'],
    ['a=$((b + 1)) && c', 'c'],
    // biome-ignore lint/suspicious/noTemplateCurlyInString: the shell's own braces
    ['a "${b#"${c%%)*}"}"; d', 'a d'],
    ['"/a/b" c', '/a/b'],
    // biome-ignore lint/suspicious/noTemplateCurlyInString: the shell's own braces
    ['echo "${a:-$(b)}"', 'echo b'],
  ])('%j', (script, words) => {
    expect(calledWords(script).join(' ')).toBe(words)
  })

  it.each([
    ['"$a" b', 'its name is a variable'],
    ['cat <<END\nEND', 'here-document'],
    ["a 'b", 'does not end'],
  ])('refuses %j', (script, message) => {
    expect(() => calledWords(script)).toThrow(message)
  })

  it('of the initrd are those that shfmt finds', async () => {
    const found = await commandsOf(init)
    expect(found).toContain('dmsetup')
    // shfmt reads export as a declaration, and what follows exec as an argument.
    const expected = [...found.filter((word) => word !== 'exec'), 'export', 'switch_root']
    expect(calledWords(init).sort()).toEqual(expected.sort())
  })
})

it('every module that the initrd loads by name is one that the build looks for', () => {
  const named = [...init.matchAll(/^ *modprobe (.+)$/gm)].flatMap(([, words = '']) => words.split(' '))
  const modules = named.filter((word) => /^[a-z]\w+$/.test(word))
  expect(modules).toContain('dm_verity')
  for (const module of modules) expect(NEEDED_MODULES).toContain(module)
})
