/** So long is nothing that one wants to read in a line. */
const MOST_CHARACTERS = 200

// Controls (C0, DEL, C1), formats (bidirectional marks, zero-width characters), surrogates without their other half,
// private and unassigned characters, separators of lines that are none, and letters that are drawn as nothing.
const UNPRINTABLE = /[\p{C}\p{Zl}\p{Zp}\u115f\u1160\u3164\uffa0]/u
const EACH_UNPRINTABLE = new RegExp(UNPRINTABLE, 'gu')
const EACH_BUT_LINES = new RegExp(`(?![\\n\\t])${UNPRINTABLE.source}`, 'gu')

/** The first character that a terminal does not show as itself; undefined when there is none. Line breaks and tabs are. */
export function firstUnprintable(
  text: string,
): { readonly index: number; readonly shown: string } | undefined {
  EACH_BUT_LINES.lastIndex = 0
  const found = EACH_BUT_LINES.exec(text)
  return found === null ? undefined : { index: found.index, shown: escaped(found[0]) }
}

/** Text of anybody with everything in sight: what a terminal takes for a command, or does not show, stands there as `\x1b`. */
export function visible(text: string): string {
  return text.replace(EACH_BUT_LINES, escaped)
}

/** As `visible`, on one line: what begins a new one could pass for a line of this program. */
export function oneLine(text: string): string {
  return text.replace(EACH_UNPRINTABLE, escaped)
}

/** Text of anybody as it may be printed: on one line, without characters that a terminal takes for commands, and not endless. */
export function printable(text: string): string {
  const line = text.replace(/[\p{C}\p{Z}]+/gu, ' ').trim()
  return line.length > MOST_CHARACTERS ? `${line.slice(0, MOST_CHARACTERS)}…` : line
}

/** JSON of a value, in ASCII where a character does not print: the value that is read from it is the same. */
export function visibleJson(value: unknown, indent: number): string {
  return JSON.stringify(value, null, indent).replace(EACH_BUT_LINES, (character) =>
    Array.from({ length: character.length }, (_, index) => unit(character.charCodeAt(index))).join(''),
  )
}

/** Text with at most `most` bytes of UTF-8; what is cut off is an ellipsis. */
export function bounded(text: string, most: number): string {
  const encoder = new TextEncoder()
  const bytes = encoder.encode(text)
  if (bytes.length <= most) return text
  const room = most - encoder.encode('…').length
  // Half a character at the end becomes U+FFFD.
  return `${new TextDecoder().decode(bytes.subarray(0, room)).replace(/\ufffd+$/, '')}…`
}

function escaped(character: string): string {
  if (character === '\n') return '\\n'
  if (character === '\t') return '\\t'
  if (character === '\r') return '\\r'
  const code = character.codePointAt(0) ?? 0
  if (code < 0x100) return `\\x${code.toString(16).padStart(2, '0')}`
  return code < 0x10000 ? unit(code) : `\\u{${code.toString(16)}}`
}

function unit(code: number): string {
  return `\\u${code.toString(16).padStart(4, '0')}`
}
