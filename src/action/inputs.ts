import { UsageError } from '../report/error.ts'
import { describeIssue, dotted, quoteValue, suggestion } from '../report/schema-issue.ts'
import { findConflicts, impliedTag, overriddenInputs } from './cross-command-inputs.ts'
import {
  type Command,
  commands,
  type Inputs,
  type InputsOf,
  inputNames,
  inputSchemas,
  inputsOf,
} from './input-schemas.ts'

/**
 * Reads the inputs, which the runner passes as INPUT_NAME variables, for each command of the step in order.
 * @throws UsageError that names every input that is missing, wrong, of another command, or contradicts another input
 */
export function readInputs(env: NodeJS.ProcessEnv): [Inputs, ...Inputs[]] {
  const given = Object.fromEntries(
    inputNames.flatMap((input) => {
      const value = env[`INPUT_${input.toUpperCase()}`]?.trim() ?? ''
      return value === '' ? [] : [[input, value]]
    }),
  )
  const chosen = readCommands(given.command)
  const known = new Set(chosen.flatMap(inputsOf))
  const problems = Object.keys(given)
    .filter((input) => !known.has(input))
    .map((input) => `${input}: is not for ${chosen.join(', ')} but for ${commandsWith(input)}; remove it`)
  const shared = { ...impliedTag(chosen, given, env), ...given }
  const all = chosen.flatMap((command) => {
    const own = inputsOf(command)
    const values = Object.entries({ ...shared, ...overriddenInputs(command, chosen, shared, env), command })
    const { data, error } = inputSchemas[command].safeParse(
      Object.fromEntries(values.filter(([input, value]) => own.includes(input) && value !== undefined)),
      { error: describeIssue, reportInput: true },
    )
    problems.push(...(error?.issues ?? []).map((issue) => `${dotted(issue.path)}: ${issue.message}`))
    if (data === undefined) return []
    problems.push(...findContradictions(data))
    return [data]
  })
  problems.push(...findConflicts(all))
  const [first, ...rest] = all
  if (first === undefined || problems.length > 0) throw inputError(eachInputOnce(problems))
  return [first, ...rest]
}

/** The commands of a step, in order. */
function readCommands(text = ''): Command[] {
  const words = text.split(/\s+/).filter((word) => word !== '')
  if (words.length === 0) throw inputError([`command: missing; add it: ${suggestion('', commands)}`])
  const chosen = words.map((word) => {
    const command = commands.find((known) => known === word)
    if (command) return command
    throw inputError([`command: found ${quoteValue(word)}; ${suggestion(word, commands)}`])
  })
  const twice = chosen.find((command, index) => chosen.indexOf(command) !== index)
  if (twice) throw inputError([`command: ${twice} is there twice; remove one`])
  return chosen
}

/** The first problem of each input. */
function eachInputOnce(problems: readonly string[]): string[] {
  const inputOf = (problem: string) => problem.slice(0, problem.indexOf(':'))
  return problems.filter(
    (problem, index) => problems.findIndex((other) => inputOf(other) === inputOf(problem)) === index,
  )
}

/** Valid inputs that contradict each other, and alternatives of which one is required; a line each. */
export function findContradictions(inputs: Inputs): string[] {
  switch (inputs.command) {
    case 'test':
      return [...exactlyOne(inputs, 'image', 'directory'), ...scannable(inputs)]
    case 'publish':
      return [
        ...exactlyOne(inputs, 'image', 'directory'),
        ...single(inputs.directory),
        ...(inputs.unsigned ? notBoth(inputs, 'signing-key', 'unsigned') : []),
        ...(inputs.artifact && inputs.image === undefined
          ? ['image: missing; give the image of the artifact']
          : []),
      ]
    case 'build':
    case 'comment':
      return single(inputs.directory)
    case 'verify':
      return [
        ...exactlyOne(inputs, 'image', 'directory'),
        ...single(inputs.directory),
        ...(inputs['allow-unsigned'] ? notBoth(inputs, 'allowed-signers', 'allow-unsigned') : []),
      ]
    case 'promote':
    case 'demote':
      return inputs['allow-unsigned'] ? notBoth(inputs, 'allowed-signers', 'allow-unsigned') : []
    case 'deploy': {
      const exact = inputs.version !== undefined && /^\d/.test(inputs.version)
      const differs = inputs.tag !== undefined && exact && inputs.version !== inputs.tag.version
      return [
        ...exactlyOne(inputs, 'image', 'tag'),
        ...(differs ? [`version: ${inputs.version} is not that of the tag; leave one of them out`] : []),
      ]
    }
    default:
      return []
  }
}

/** A scan is for one image. It needs a feed: the catalog does not name the affected versions. */
function scannable(inputs: InputsOf<'test'>): string[] {
  if (inputs['vulnerability-feed'] === undefined) {
    return 'known-exploited' in inputs ? ['known-exploited: needs vulnerability-feed; give both'] : []
  }
  const several = (inputs.directory?.length ?? 1) > 1
  return several ? ['vulnerability-feed: is for one image; leave it out, or give one directory'] : []
}

function exactlyOne(inputs: object, left: string, right: string): string[] {
  if (!(left in inputs) && !(right in inputs)) return [`${left}: missing; give ${left} or ${right}`]
  return notBoth(inputs, left, right)
}

function notBoth(inputs: object, left: string, right: string): string[] {
  return left in inputs && right in inputs ? [`${left}: contradicts ${right}; leave one of them out`] : []
}

function single(directory: readonly string[] | undefined): string[] {
  return (directory?.length ?? 1) === 1 ? [] : ['directory: give one folder']
}

function commandsWith(input: string): string {
  return commands.filter((command) => inputsOf(command).includes(input)).join(', ')
}

function inputError(problems: readonly string[]): UsageError {
  const count = problems.length === 1 ? 'an input is wrong' : `${problems.length} inputs are wrong`
  return new UsageError(`${count}: ${problems.join('\n')}`, {
    fix: 'change `with:` of this step; docs/github.md has a table of all inputs',
  })
}
