import { visible, visibleJson } from './printable.ts'

/** Makes foreign text safe for a terminal and for the log of a workflow: no line is a command to GitHub's runner. */
export function harmless(text: string): string {
  return withoutCommands(visible(text))
}

// The runner executes `::name::` after white space at the beginning of a line, and `##[name]` anywhere.
function withoutCommands(text: string): string {
  return text.replace(/^(\s*):(?=:)/gm, '$1\\x3a').replaceAll('##[', '##\\x5b')
}

/** Prints a result to standard output: text as it is, everything else as JSON. */
export function print(result: string | object, { indent = 2 } = {}): void {
  const text =
    typeof result === 'string' ? harmless(result) : visibleJson(result, indent).replaceAll('##[', '##\\u005b')
  process.stdout.write(`${text}\n`)
}

/** Prints a line for a person to standard error. */
export function printError(text: string): void {
  process.stderr.write(`${harmless(text)}\n`)
}
