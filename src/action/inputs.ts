import { z } from 'zod'
import { BUNDLE_CHOICES } from '../release/pack/choose.ts'
import { requireTag, type Tag } from '../release/tag.ts'
import { UsageError } from '../report/error.ts'
import { describeIssue, dotted, quoteValue, suggestion } from '../yaml-issue.ts'

/** Text of a certain form; `form` says in an error what would do. */
function text(pattern: RegExp, form: string) {
  return z.string().regex(pattern, { error: (issue) => `found ${quoteValue(issue.input)}; give ${form}` })
}

const name = text(/^[a-z][a-z0-9-]*$/, 'lower-case letters, digits and dashes')
const flag = z.enum(['true', 'false']).transform((value) => value === 'true')
const folders = z.string().transform((value) => value.split('\n').flatMap((line) => line.trim() || []))
/** A release's tag; also `promote/TAG`, the tag that is pushed to have it promoted. */
const tag = z.string().transform((value, context): Tag => {
  try {
    return requireTag(value.replace(/^promote\//, ''))
  } catch {
    context.addIssue({ code: 'custom', message: `found ${quoteValue(value)}; give IMAGE-VERSION` })
    return z.NEVER
  }
})
const days = text(/^([1-9]|[1-8]\d|90)$/, 'a number of days from 1 to 90').transform(Number)

/** For every command: which GitHub it talks to, and where platform.yaml and images/ are. */
const always = {
  project: z.string().optional(),
  repository: text(/^[\w.-]+\/[\w.-]+$/, 'OWNER/NAME').optional(),
  token: z.string().optional(),
}
const variant = { base: name.optional(), line: text(/^\d+\.\d+$/, 'a minor version, as in 3.6').optional() }
const artifact = { artifact: flag.optional(), 'retention-days': days.optional() }
/** What is known of vulnerabilities: files or folders on the runner. */
const knowledge = { 'vulnerability-feed': folders.optional(), 'known-exploited': z.string().optional() }
const trust = { 'allowed-signers': z.string().optional(), 'allow-unsigned': flag.optional() }

/** The inputs of each command. All are optional for GitHub; an empty one is as good as none. */
const forms = {
  lock: z.strictObject({ command: z.literal('lock'), ...always, image: name, ...variant }),
  plan: z.strictObject({ command: z.literal('plan'), ...always, image: name.optional() }),
  build: z.strictObject({
    command: z.literal('build'),
    ...always,
    image: name,
    ...variant,
    directory: folders.optional(),
    cache: flag.optional(),
    ...artifact,
  }),
  test: z.strictObject({
    command: z.literal('test'),
    ...always,
    image: name.optional(),
    directory: folders.optional(),
    platform: z.string().optional(),
    ...knowledge,
    ...artifact,
  }),
  publish: z.strictObject({
    command: z.literal('publish'),
    ...always,
    image: name.optional(),
    directory: folders.optional(),
    'signing-key': z.string().optional(),
    unsigned: flag.optional(),
    bundle: z.enum(BUNDLE_CHOICES).optional(),
  }),
  promote: z.strictObject({ command: z.literal('promote'), ...always, tag, ...trust }),
  demote: z.strictObject({ command: z.literal('demote'), ...always, tag, ...trust }),
  verify: z.strictObject({
    command: z.literal('verify'),
    ...always,
    image: name.optional(),
    directory: folders.optional(),
    ...trust,
  }),
  deploy: z.strictObject({
    command: z.literal('deploy'),
    ...always,
    image: name.optional(),
    tag: tag.optional(),
    version: text(/^(promoted|candidate|\d[\w.]*-\d+)$/, 'promoted, candidate or a version').optional(),
    storage: text(/^[A-Za-z][\w.-]*$/, 'the name of a storage').optional(),
    'dry-run': flag.optional(),
  }),
  status: z.strictObject({ command: z.literal('status'), ...always }),
  comment: z.strictObject({
    command: z.literal('comment'),
    ...always,
    directory: folders,
    matrix: z.string().optional(),
  }),
}

type Command = keyof typeof forms
type Form<C extends Command> = z.output<(typeof forms)[C]>

/** What a step of a workflow asked for, by its command. */
export type Inputs = { [C in Command]: Form<C> }[Command]
export type InputsOf<C extends Command> = Form<C>

const commands = Object.keys(forms) as Command[]
const inputsOf = (command: Command) => Object.keys(forms[command].shape)

/** The name of every input that some command takes, in the order of action.yml. */
export const inputNames: readonly string[] = [...new Set(commands.flatMap(inputsOf))]

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
  const taken = new Set(chosen.flatMap((command) => takenBy(command, chosen)))
  const problems = Object.keys(given)
    .filter((input) => !taken.has(input))
    .map((input) => `${input}: is not for ${chosen.join(', ')} but for ${takers(input)}; remove it`)
  const all = chosen.flatMap((command) => {
    const own = takenBy(command, chosen)
    const { data, error } = forms[command].safeParse(
      {
        ...implied(command, given, env, chosen),
        ...Object.fromEntries(Object.entries(given).filter(([input]) => own.includes(input))),
        command,
      },
      { error: describeIssue, reportInput: true },
    )
    problems.push(...(error?.issues ?? []).map((issue) => `${dotted(issue.path)}: ${issue.message}`))
    if (data === undefined) return []
    problems.push(...contradictions(data))
    return [data]
  })
  const [first, ...rest] = all
  if (first === undefined || problems.length > 0) throw refusal([...new Set(problems)])
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

/** The inputs that go to a command of a step: after `test` the image is uploaded once, and the comment is about it. */
function takenBy(command: Command, chosen: readonly Command[]): string[] {
  const others: Partial<Record<Command, readonly string[]>> = chosen.includes('test')
    ? { build: Object.keys(artifact), comment: ['directory'] }
    : {}
  return inputsOf(command).filter((input) => !others[command]?.includes(input))
}

/** What need not be given: the tag that was pushed, and where this job's `test` leaves what the comment needs. */
function implied(
  command: Command,
  given: Readonly<Record<string, string>>,
  env: NodeJS.ProcessEnv,
  chosen: readonly Command[],
): Record<string, string> {
  const { GITHUB_REF_TYPE: kind, GITHUB_REF_NAME: pushed = '', RUNNER_TEMP: temporary } = env
  const needsTag = command === 'promote' || (command === 'deploy' && given.image === undefined)
  if (needsTag && kind === 'tag') return { tag: pushed }
  return command === 'comment' && chosen.includes('test') && temporary ? { directory: temporary } : {}
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
