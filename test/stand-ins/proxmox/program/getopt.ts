import { booleanOf, refusal, type Spec } from './check.ts'
import { CommandLineError, ParameterError } from './failure.ts'

/** A command's arguments and options. */
export interface CommandLine {
  /** How it is called, as its messages have it. */
  readonly usage: string
  /** Names and what they must be, in their order. */
  readonly positional: readonly (readonly [name: string, spec: Spec])[]
  /** How many of them may be missing at the end. */
  readonly optional?: number
  /** Whether more words may follow, which are given to the command as they are. */
  readonly extra?: boolean
  option(name: string): Spec | undefined
}

/** What a command was called with. Booleans are `1` or `0`. */
export interface Call {
  readonly values: ReadonlyMap<string, string>
  readonly extra: readonly string[]
}

/**
 * Reads a command line as Proxmox VE's CLI handler does: options with one or two dashes, anywhere, a later one in
 * the place of an earlier one; `--` ends them.
 * @throws CommandLineError, ParameterError
 */
export function readCommandLine(line: CommandLine, argv: readonly string[]): Call {
  const values = new Map<string, string>()
  const words: string[] = []
  const complaints: string[] = []
  let at = 0
  while (at < argv.length) {
    const word = argv[at++] ?? ''
    if (word === '--') {
      words.push(...argv.slice(at))
      break
    }
    const [, name, , attached] = /^--?([A-Za-z][\w-]*)(=(.*))?$/s.exec(word) ?? []
    if (name === undefined) {
      words.push(word)
      continue
    }
    const spec = line.option(name)
    if (spec === undefined) {
      complaints.push(`Unknown option: ${name}`)
    } else if (attached !== undefined) {
      values.set(name, attached)
    } else if (spec.type === 'boolean') {
      const next = argv[at]
      if (next !== undefined && !next.startsWith('-') && next !== '') at++
      values.set(name, next === undefined || next.startsWith('-') ? '1' : next)
    } else if (at < argv.length) {
      values.set(name, argv[at++] ?? '')
    } else {
      complaints.push(`Option ${name} requires an argument`)
    }
  }
  if (complaints.length > 0)
    throw new CommandLineError([...complaints, '400 unable to parse option'].join('\n'))
  const least = line.positional.length - (line.optional ?? 0)
  if (words.length < least) throw new CommandLineError('400 not enough arguments')
  const extra = words.slice(line.positional.length)
  if (extra.length > 0 && !line.extra) throw new CommandLineError('400 too many arguments')
  line.positional.forEach(([name], index) => {
    const word = words[index]
    if (word !== undefined) values.set(name, word)
  })
  return { values: checked(line, values), extra }
}

function checked(line: CommandLine, values: ReadonlyMap<string, string>): ReadonlyMap<string, string> {
  const problems: Record<string, string> = {}
  const result = new Map<string, string>()
  for (const [name, value] of values) {
    const spec = line.positional.find(([one]) => one === name)?.[1] ?? line.option(name)
    if (spec === undefined) continue
    const found = refusal(spec, value)
    if (found !== undefined) problems[name] = found
    result.set(name, spec.type === 'boolean' ? (booleanOf(value) ? '1' : '0') : value)
  }
  if (Object.keys(problems).length > 0) throw new ParameterError(problems)
  return result
}
