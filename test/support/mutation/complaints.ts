import { basename } from 'node:path'
import type { Ended } from '../seeder.ts'

/** A refusal has less than this, in bytes. */
const MOST_BYTES = 2048

// Not by what the program itself uses: a mistake there would not be seen here. Line breaks and tabs are fine.
const UNPRINTABLE: readonly (readonly [number, number])[] = [
  ...([
    [0, 8],
    [0x0b, 0x1f],
    [0x7f, 0x9f],
    [0xad, 0xad],
    [0x61c, 0x61c],
    [0x200b, 0x200f],
    [0x2028, 0x202e],
  ] as const),
  ...([
    [0x2060, 0x206f],
    [0xd800, 0xdfff],
    [0xfeff, 0xfeff],
    [0xfff9, 0xfffb],
    [0xe0000, 0xe007f],
  ] as const),
]

function unprintable(text: string): string | undefined {
  for (const character of text) {
    const code = character.codePointAt(0) ?? 0
    if (UNPRINTABLE.some(([from, to]) => code >= from && code <= to)) return code.toString(16)
  }
  return undefined
}

const STACK = /^\s+at .*[:(]\d+|node:internal|\.ts:\d+:\d+\)?$/m

/** Words of a parser that say nothing to whoever reads them. */
const RAW =
  /ZodError|SyntaxError|TypeError|RangeError|Unexpected token|in JSON at position|Maximum call stack|"code": "/

const COMMAND = /^\s*::|##\[/m

/**
 * What is wrong with how a program ended that was given a spoiled file: it took it, or it refused it in a way that a person
 * can act on, and nothing of the file reached the terminal as it was.
 * @param files those of which the refusal has to name one
 * @param onConsole it is that of a machine, which nobody takes for the log of a workflow
 */
export function complaints(
  { code, stdout, stderr }: Ended,
  files: readonly string[],
  onConsole = false,
): string[] {
  const all = `${stdout}\n${stderr}`
  const found: string[] = []
  if (code !== 0 && code !== 1 && code !== 2) found.push(`it ended with ${code}`)
  const hidden = unprintable(all)
  if (hidden !== undefined) found.push(`it printed the character ${hidden}`)
  if (STACK.test(all)) found.push('it printed a stack trace')
  if (RAW.test(stderr)) found.push('it printed the words of a parser')
  if (!onConsole && COMMAND.test(all)) found.push('it printed a command of a workflow')
  if (code === 0) return found
  const bytes = Buffer.byteLength(stderr)
  if (bytes >= MOST_BYTES) found.push(`its message has ${bytes} bytes`)
  if (!files.some((file) => all.includes(basename(file))))
    found.push(`it does not name ${files.join(' or ')}`)
  return found
}
