import { z } from 'zod'
import { requireTag, type Tag } from '../release/format/tag.ts'
import { quoteValue } from '../report/schema-issue.ts'

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
const digest = text(/^[0-9a-f]{64}$/, 'a sha256, 64 hex digits')
const days = text(/^([1-9]|[1-8]\d|90)$/, 'a number of days from 1 to 90').transform(Number)

/** For every command: which GitHub it talks to, and where platform.yaml and images/ are. */
const always = {
  project: z.string().optional(),
  repository: text(/^[\w.-]+\/[\w.-]+$/, 'OWNER/NAME').optional(),
  token: z.string().optional(),
}
const variant = { base: name.optional(), line: text(/^\d+\.\d+$/, 'a minor version, as in 3.6').optional() }
export const artifact = { artifact: flag.optional(), 'retention-days': days.optional() }
/** What is known of vulnerabilities: files or folders on the runner. */
const knowledge = { 'vulnerability-feed': folders.optional(), 'known-exploited': z.string().optional() }
const trust = { 'allowed-signers': z.string().optional(), 'allow-unsigned': flag.optional() }

/** The inputs of each command. All are optional for GitHub; an empty one is as good as none. */
export const forms = {
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
    // Not from the folder: what another job of the run has left.
    artifact: flag.optional(),
    ...variant,
    'signing-key': z.string().optional(),
    unsigned: flag.optional(),
    bundle: flag.optional(),
  }),
  confirm: z.strictObject({
    command: z.literal('confirm'),
    ...always,
    tag,
    digest,
    'lock-digest': digest,
    'signing-key': z.string(),
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

/** What a step can do. */
export type Command = keyof typeof forms
type Form<C extends Command> = z.output<(typeof forms)[C]>

/** What a step of a workflow asked for, by its command. */
export type Inputs = { [C in Command]: Form<C> }[Command]
export type InputsOf<C extends Command> = Form<C>

export const commands = Object.keys(forms) as Command[]
/** The names of the inputs that a command takes. */
export function inputsOf(command: Command): string[] {
  return Object.keys(forms[command].shape)
}

/** The name of every input that some command takes, in the order of action.yml. */
export const inputNames: readonly string[] = [...new Set(commands.flatMap(inputsOf))]
