/** So long is nothing that one wants to read in a line. */
const MOST_CHARACTERS = 200

/** Text of anybody as it may be printed: on one line, without characters that a terminal takes for commands, and not endless. */
export function printable(text: string): string {
  const line = text.replace(/[\p{C}\p{Z}]+/gu, ' ').trim()
  return line.length > MOST_CHARACTERS ? `${line.slice(0, MOST_CHARACTERS)}…` : line
}
