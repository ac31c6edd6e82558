import { UsageError } from '../report/error.ts'
import { describeIssue, dotted, quoteValue, suggestion } from '../report/schema-issue.ts'
import { disagreements, impliedTag, ownInputs } from './cross-command-inputs.ts'
import {
  type Command,
  commands,
  forms,
  type Inputs,
  type InputsOf,
  inputNames,
  inputsOf,
} from './input-schemas.ts'

/**
 * Reads the inputs that the runner passes as INPUT_NAME variables: what each command of the step is to do, in their order.
 * @throws UsageError that names every input that is missing, wrong, of another command, or contradicts another one
 */
export function readInputs(env: NodeJS.ProcessEnv): [Inputs, ...Inputs[]] {
  const given = Object.fromEntries(
    inputNames.flatMap((input) => {
      const value = env[`INPUT_${input.toUpperCase()}`]?.trim() ?? ''
      return value === '' ? [] : [[input, value]]
    }),
  )
  const chosen = readCommands(given.command)
  const forAny = new Set(chosen.flatMap(inputsOf))
  const problems = Object.keys(given)
    .filter((input) => !forAny.has(input))
    .map((input) => `${input}: is not for ${chosen.join(', ')} but for ${takers(input)}; remove it`)
  const shared = { ...impliedTag(chosen, given, env), ...given }
  const all = chosen.flatMap((command) => {
    const own = inputsOf(command)
    const values = Object.entries({ ...shared, ...ownInputs(command, chosen, shared, env), command })
    const { data, error } = forms[command].safeParse(
      Object.fromEntries(values.filter(([input, value]) => own.includes(input) && value !== undefined)),
      { error: describeIssue, reportInput: true },
    )
    problems.push(...(error?.issues ?? []).map((issue) => `${dotted(issue.path)}: ${issue.message}`))
    if (data === undefined) return []
    problems.push(...contradictions(data))
    return [data]
  })
  problems.push(...disagreements(all))
  const [first, ...rest] = all
  if (first === undefined || problems.length > 0) throw refusal(eachInputOnce(problems))
  return [first, ...rest]
}

/** The commands of a step, in their order. */
function readCommands(text = ''): Command[] {
  const words = text.split(/\s+/).filter((word) => word !== '')
  if (words.length === 0) throw refusal([`command: missing; add it: ${suggestion('', commands)}`])
  const chosen = words.map((word) => {
    const command = commands.find((one) => one === word)
    if (command) return command
    throw refusal([`command: found ${quoteValue(word)}; ${suggestion(word, commands)}`])
  })
  const twice = chosen.find((command, at) => chosen.indexOf(command) !== at)
  if (twice) throw refusal([`command: ${twice} is there twice; remove one`])
  return chosen
}

/** Of an input that several commands complain of, the first complaint. */
function eachInputOnce(problems: readonly string[]): string[] {
  const inputOf = (problem: string) => problem.slice(0, problem.indexOf(':'))
  return problems.filter(
    (problem, at) => problems.findIndex((other) => inputOf(other) === inputOf(problem)) === at,
  )
}

/** Inputs that are each right and cannot both be meant, or of which one is needed; a line each. */
export function contradictions(inputs: Inputs): string[] {
  switch (inputs.command) {
    case 'test':
      return [...oneOf(inputs, 'image', 'directory'), ...scannable(inputs)]
    case 'publish':
      return [
        ...oneOf(inputs, 'image', 'directory'),
        ...single(inputs.directory),
        ...(inputs.unsigned ? notBoth(inputs, 'signing-key', 'unsigned') : []),
        ...(inputs.artifact && inputs.image === undefined
          ? ['image: missing; an artifact is of an image']
          : []),
      ]
    case 'build':
    case 'comment':
      return single(inputs.directory)
    case 'verify':
      return [
        ...oneOf(inputs, 'image', 'directory'),
        ...single(inputs.directory),
        ...(inputs['allow-unsigned'] ? notBoth(inputs, 'allowed-signers', 'allow-unsigned') : []),
      ]
    case 'promote':
    case 'demote':
      return inputs['allow-unsigned'] ? notBoth(inputs, 'allowed-signers', 'allow-unsigned') : []
    case 'deploy': {
      const exact = inputs.version !== undefined && /^\d/.test(inputs.version)
      const two = inputs.tag !== undefined && exact && inputs.version !== inputs.tag.version
      return [
        ...oneOf(inputs, 'image', 'tag'),
        ...(two ? [`version: ${inputs.version} is not the one of the tag; leave one of them out`] : []),
      ]
    }
    default:
      return []
  }
}

/** Only one image is looked up, and not in the catalog alone: it does not say which versions have something. */
function scannable(inputs: InputsOf<'test'>): string[] {
  if (inputs['vulnerability-feed'] === undefined) {
    return 'known-exploited' in inputs
      ? ['known-exploited: is nothing without vulnerability-feed; give both']
      : []
  }
  const several = (inputs.directory?.length ?? 1) > 1
  return several ? ['vulnerability-feed: is for one image; leave it out, or give one directory'] : []
}

function oneOf(inputs: object, left: string, right: string): string[] {
  if (!(left in inputs) && !(right in inputs)) return [`${left}: missing; give ${left} or ${right}`]
  return notBoth(inputs, left, right)
}

function notBoth(inputs: object, left: string, right: string): string[] {
  return left in inputs && right in inputs ? [`${left}: contradicts ${right}; leave one of them out`] : []
}

function single(directory: readonly string[] | undefined): string[] {
  return (directory?.length ?? 1) === 1 ? [] : ['directory: give one folder']
}

function takers(input: string): string {
  return commands.filter((command) => inputsOf(command).includes(input)).join(', ')
}

function refusal(problems: readonly string[]): UsageError {
  const count = problems.length === 1 ? 'an input is wrong' : `${problems.length} inputs are wrong`
  return new UsageError(`${count}: ${problems.join('\n')}`, {
    fix: 'change `with:` of this step; docs/github.md has a table of all inputs',
  })
}
