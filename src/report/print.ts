import { visible, visibleJson } from './printable.ts'

/**
 * Text as it may be written to a terminal and to the log of a workflow, whoever it comes from: everything is in sight,
 * and no line is one of the commands that GitHub's runner looks for in what a step prints.
 */
export function harmless(text: string): string {
  return withoutCommands(visible(text))
}

// The runner takes `::name::` after any white space at the beginning of a line, and `##[name]` anywhere in one.
function withoutCommands(text: string): string {
  return text.replace(/^(\s*):(?=:)/gm, '$1\\x3a').replaceAll('##[', '##\\x5b')
}

/** Prints a result, and a line break, to standard output: text as it is, everything else as JSON. */
export function print(result: string | object, { indent = 2 } = {}): void {
  const text =
    typeof result === 'string' ? harmless(result) : visibleJson(result, indent).replaceAll('##[', '##\\u005b')
  process.stdout.write(`${text}\n`)
}

/** Prints a line for a person to standard error. */
export function printError(text: string): void {
  process.stderr.write(`${harmless(text)}\n`)
}
