import { z } from 'zod'
import { requireTag, type Tag } from '../release/format/tag.ts'
import { quoteValue } from '../report/schema-issue.ts'

/** Text that matches a pattern; `form` describes it in an error. */
function text(pattern: RegExp, form: string) {
  return z.string().regex(pattern, { error: (issue) => `found ${quoteValue(issue.input)}; give ${form}` })
}

const name = text(/^[a-z][a-z0-9-]*$/, 'lower-case letters, digits and dashes')
const flag = z.enum(['true', 'false']).transform((value) => value === 'true')
const folders = z.string().transform((value) => value.split('\n').flatMap((line) => line.trim() || []))
/** A release's tag; also `promote/TAG`, the tag that is pushed to promote it. */
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

/** Inputs of every command. */
const always = {
  project: z.string().optional(),
  repository: text(/^[\w.-]+\/[\w.-]+$/, 'OWNER/NAME').optional(),
  token: z.string().optional(),
}
const variant = { base: name.optional(), line: text(/^\d+\.\d+$/, 'a minor version, as in 3.6').optional() }
export const artifact = { artifact: flag.optional(), 'retention-days': days.optional() }
/** Files or folders on the runner. */
const vulnerabilities = { 'vulnerability-feed': folders.optional(), 'known-exploited': z.string().optional() }
const trust = { 'allowed-signers': z.string().optional(), 'allow-unsigned': flag.optional() }

/** The inputs of each command. All are optional for GitHub, and an empty input is a missing one. */
export const inputSchemas = {
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
    ...vulnerabilities,
    ...artifact,
  }),
  publish: z.strictObject({
    command: z.literal('publish'),
    ...always,
    image: name.optional(),
    directory: folders.optional(),
    // Publishes the artifacts of another job instead of the folder.
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

export type Command = keyof typeof inputSchemas
export type InputsOf<C extends Command> = z.output<(typeof inputSchemas)[C]>
/** The inputs of some command. */
export type Inputs = { [C in Command]: InputsOf<C> }[Command]

export const commands = Object.keys(inputSchemas) as Command[]
/** The names of the inputs that a command takes. */
export function inputsOf(command: Command): string[] {
  return Object.keys(inputSchemas[command].shape)
}

/** The names of all inputs. */
export const inputNames: readonly string[] = [...new Set(commands.flatMap(inputsOf))]
