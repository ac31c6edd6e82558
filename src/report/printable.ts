/** Maximum length of a printed line. */
const MOST_CHARACTERS = 200

// Controls (C0, DEL, C1), formats (bidirectional marks, zero-width characters), lone surrogates, private and unassigned
// characters, Unicode's separators of lines and paragraphs, and letters that are drawn as nothing.
const UNPRINTABLE = /[\p{C}\p{Zl}\p{Zp}\u115f\u1160\u3164\uffa0]/u
const EACH_UNPRINTABLE = new RegExp(UNPRINTABLE, 'gu')
const EACH_BUT_LINES = new RegExp(`(?![\\n\\t])${UNPRINTABLE.source}`, 'gu')

/** The first character other than a line break or a tab that a terminal does not show as itself. */
export function firstUnprintable(
  text: string,
): { readonly index: number; readonly shown: string } | undefined {
  EACH_BUT_LINES.lastIndex = 0
  const found = EACH_BUT_LINES.exec(text)
  return found === null ? undefined : { index: found.index, shown: escaped(found[0]) }
}

/** Makes characters that a terminal would execute or not show visible, as `\x1b`. */
export function visible(text: string): string {
  return text.replace(EACH_BUT_LINES, escaped)
}

/** As `visible`, on one line: a line break could forge a line of this program. */
export function oneLine(text: string): string {
  return text.replace(EACH_UNPRINTABLE, escaped)
}

/** Foreign text in a message: on one line, without unprintable characters, and cut. */
export function printable(text: string): string {
  const line = text.replace(/[\p{C}\p{Z}]+/gu, ' ').trim()
  return line.length > MOST_CHARACTERS ? `${line.slice(0, MOST_CHARACTERS)}…` : line
}

/** JSON with escapes for unprintable characters: the value that is read from it is the same. */
export function visibleJson(value: unknown, indent: number): string {
  return JSON.stringify(value, null, indent).replace(EACH_BUT_LINES, (character) =>
    Array.from({ length: character.length }, (_, index) => unit(character.charCodeAt(index))).join(''),
  )
}

/** Text with at most `most` bytes of UTF-8; an ellipsis replaces what is cut off. */
export function bounded(text: string, most: number): string {
  const encoder = new TextEncoder()
  const bytes = encoder.encode(text)
  if (bytes.length <= most) return text
  const kept = most - encoder.encode('…').length
  // Half a character at the end becomes U+FFFD.
  return `${new TextDecoder().decode(bytes.subarray(0, kept)).replace(/\ufffd+$/, '')}…`
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
